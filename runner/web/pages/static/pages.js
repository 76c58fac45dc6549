// Live updates, the viewer's time zone, and keys. The page works without this file.
"use strict";

const main = document.getElementById("main");
const NEVER_FASTER_MS = 1500, AT_LEAST_MS = 30_000;
const AGAIN_MS = 3000, SETTLED_MS = 20_000;  // a busy server may show what is up to 18 s old

// --- Times: from the runner's zone to the viewer's; UTC stays in the tooltip.

const two = (number) => String(number).padStart(2, "0");
const day = (date) => `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
const minute = (date) => `${two(date.getHours())}:${two(date.getMinutes())}`;
const second = (date) => `${minute(date)}:${two(date.getSeconds())}`;
const weekday = new Intl.DateTimeFormat("en-GB", { weekday: "short", day: "2-digit", month: "short" });

function wallText(date, form) {
  if (form === "clock") return minute(date);
  if (form === "full") return `${day(date)} ${second(date)}`;
  const now = new Date();
  if (day(date) === day(now)) return second(date);
  if (date.getFullYear() !== now.getFullYear()) return `${day(date)} ${minute(date)}`;
  return `${weekday.format(date).replace(",", "")} ${minute(date)}`;
}

function shortDuration(seconds) {
  const whole = Math.max(Math.round(seconds), 0);
  const units = [["d", 86400, "h", 3600], ["h", 3600, "m", 60], ["m", 60, "s", 1]];
  for (const [unit, size, restUnit, restSize] of units) {
    if (whole < size) continue;
    const rest = Math.floor((whole % size) / restSize);
    return `${Math.floor(whole / size)}${unit}${rest ? rest + restUnit : ""}`;
  }
  return `${whole}s`;
}

function localise(root) {
  for (const each of root.querySelectorAll("[data-form]")) {
    const date = new Date(each.getAttribute("datetime") || each.dataset.time);
    if (!isNaN(date)) each.textContent = wallText(date, each.dataset.form);
  }
}

function tick() {
  for (const each of document.querySelectorAll("[data-since]")) {
    each.textContent = shortDuration((Date.now() - new Date(each.dataset.since)) / 1000);
  }
}

// --- Live updates: an event says that something happened; the page asks for its content anew.

let stream = null, timer = null, lastMs = Date.now(), eventMs = 0, againMs = AGAIN_MS, isBusy = false;

function plan(delayMs) {
  clearTimeout(timer);
  timer = setTimeout(refresh, delayMs);
}

function soon(event) {
  eventMs = Date.now();
  againMs = Math.max(Number(event.data) * 1000, AGAIN_MS);
  if (!isBusy) plan(Math.max(lastMs + NEVER_FASTER_MS - Date.now(), 150));
}

function idleMs() {
  return Number(main.dataset.every || 0) * 1000 || AT_LEAST_MS;
}

async function refresh() {
  if (document.hidden || isBusy) return;
  isBusy = true;
  lastMs = Date.now();
  try {
    const answer = await fetch(location.href, { headers: { "X-Part": "main" }, redirect: "manual" });
    if (answer.type === "opaqueredirect" || answer.status === 401) return location.reload();
    if (answer.ok) show(await answer.text());
    say(answer.ok ? "Live" : "The page does not answer");
  } catch {
    say("Not connected");
  } finally {
    isBusy = false;
    plan(Date.now() - eventMs < SETTLED_MS ? againMs : idleMs());
  }
}

function show(html) {
  const fresh = new DOMParser().parseFromString(html, "text/html").getElementById("main");
  if (!fresh) return;
  localise(fresh);
  document.title = fresh.dataset.title;
  main.dataset.every = fresh.dataset.every || "";
  const before = main.querySelector("h1")?.textContent, after = fresh.querySelector("h1")?.textContent;
  replaceParts(main, fresh);
  tick();
  if (after && before !== after) document.getElementById("announcement").textContent = after;
}

// Replaces the children that differ, and leaves alone what the viewer types in or has opened.
function replaceParts(old, fresh) {
  const olds = [...old.children], news = [...fresh.children];
  const isSame = olds.length === news.length && olds.every((each, at) => each.id === news[at].id);
  if (!isSame) {
    if (!old.querySelector("input:focus, select:focus, textarea:focus")) swap(old, fresh.childNodes, true);
    return;
  }
  olds.forEach((each, at) => {
    if (each.outerHTML === news[at].outerHTML || each.contains(document.activeElement?.form ?? null)) return;
    if (each.hasAttribute("data-parts")) replaceParts(each, news[at]);
    else if (!each.querySelector("details[open]")) swap(each, [news[at]], false);
  });
}

function swap(old, nodes, isInside) {
  const focused = old.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  const isAtEnd = isOutputAtEnd(old);
  if (isInside) old.replaceChildren(...nodes); else old.replaceWith(...nodes);
  if (focused) [...main.querySelectorAll("a")].find((a) => a.getAttribute("href") === focused)?.focus();
  if (isAtEnd) window.scrollTo(0, document.body.scrollHeight);
}

function isOutputAtEnd(old) {
  if (old.id !== "output") return false;
  return window.innerHeight + window.scrollY >= document.body.scrollHeight - 40;
}

function say(words) {
  document.getElementById("live").textContent = words;
}

function listen() {
  stream?.close();
  stream = null;
  clearTimeout(timer);
  // A hidden page gives its connection back: a browser has only six for all tabs.
  if (document.hidden || !main.hasAttribute("data-live")) return;
  stream = new EventSource("/events");
  stream.addEventListener("changed", soon);
  stream.onopen = () => say("Live");
  stream.onerror = () => say("Not connected");
  plan(idleMs());
}

// --- Keys

const PLACES = { o: "/", r: "/requests", h: "/executions", c: "/changes" };
const keys = document.getElementById("keys"), areOn = document.getElementById("keys-on");
let isGoing = false;

function onKey(event) {
  const isTyping = event.target.closest?.("input, select, textarea, dialog");
  if (isTyping || !areOn.checked || event.ctrlKey || event.metaKey || event.altKey) return;
  const place = isGoing ? PLACES[event.key] : undefined;
  isGoing = event.key === "g" && !isGoing;
  if (place) location.assign(place);
  else if (event.key === "/") (main.querySelector("input[type=search]") || document.getElementById("search")).focus();
  else if (event.key === "?") keys.showModal();
  else return;
  event.preventDefault();
}

if (main) {
  areOn.checked = localStorage.getItem("keys") !== "off";
  areOn.addEventListener("change", () => localStorage.setItem("keys", areOn.checked ? "on" : "off"));
  document.getElementById("keys-button").addEventListener("click", () => keys.showModal());
  document.getElementById("keys-button").hidden = false;
  document.getElementById("zone").textContent = Intl.DateTimeFormat().resolvedOptions().timeZone;
  document.addEventListener("keydown", onKey);
  document.addEventListener("visibilitychange", listen);
  window.addEventListener("pagehide", () => stream?.close());
  window.addEventListener("pageshow", (event) => event.persisted && listen());
  localise(document);
  tick();
  setInterval(tick, 1000);
  listen();
}
