"""The Process Monitor as a page: the server, logins and roles, the pages, the API.

A process of its own. It reads the store and the monitor log, and its commands reach the
runner through the mailbox, like everyone's. Needs the extra `web`; `roles` and `tokens`
do without it.
"""
