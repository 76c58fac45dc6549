"""Commands beside a runner, as its children: the page, and the worker of a node."""
