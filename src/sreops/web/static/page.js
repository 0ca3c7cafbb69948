// Keeps the page up to date: the event stream says that something happened, the server renders what changed.
// Text from alerts never becomes markup here: fragments are rendered and escaped by the server, and moved as nodes.
"use strict";

const body = document.body;
const live = document.getElementById("live");
const log = document.getElementById("log");
const SETTLE_MS = 120; // one refresh for a burst of events
const HEALTH_MS = 15000;
const AGAIN_MS = 3000;

const lastHtml = new Map([...document.querySelectorAll("[data-live]")].map((one) => [one.dataset.live, one.outerHTML]));
let wanted = false;
let running = false;

function say(text) {
  if (live.textContent !== text) live.textContent = text;
}

function lastSeq() {
  const last = log && log.lastElementChild;
  return last ? Number(last.dataset.seq) : 0;
}

// A person may be typing in a form, or have details open: both survive.
function replace(region) {
  const name = region.dataset.live;
  const there = document.querySelector(`[data-live="${CSS.escape(name)}"]`);
  if (!there || lastHtml.get(name) === region.outerHTML) return;
  const typing = there.contains(document.activeElement) && document.activeElement.matches("input, textarea, button");
  const filled = [...there.querySelectorAll("input:not([type=hidden]):not([data-remember]), textarea")].some((one) => one.value);
  const same = there.dataset.version !== undefined && there.dataset.version === region.dataset.version;
  if ("keep" in there.dataset && (same || (region.dataset.version === undefined && (typing || filled || there.open)))) return;
  lastHtml.set(name, region.outerHTML);
  const fresh = document.importNode(region, true);
  for (const old of [there, ...there.querySelectorAll("details[data-key]")]) {
    if (!(old instanceof HTMLDetailsElement)) continue;
    const key = `details[data-key="${CSS.escape(old.dataset.key)}"]`;
    const next = fresh.matches(key) ? fresh : fresh.querySelector(key);
    if (next) next.open = old.open;
  }
  there.replaceWith(fresh);
  remember(fresh);
  localise(fresh);
  count(fresh);
}

function append(news) {
  if (!log || !news) return;
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
  for (const line of [...news.children]) {
    if (Number(line.dataset.seq) <= lastSeq()) continue;
    const fresh = document.importNode(line, true);
    fresh.classList.add("new");
    localise(fresh);
    log.append(fresh);
  }
  if (atEnd) log.scrollTop = log.scrollHeight;
}

async function refresh() {
  wanted = true;
  if (running) return;
  running = true;
  try {
    while (wanted) {
      wanted = false;
      await new Promise((done) => setTimeout(done, SETTLE_MS));
      const answer = await fetch(body.dataset.fragment + (log ? `?after=${lastSeq()}` : ""), { headers: { Accept: "text/html" } });
      if (answer.status === 401) return location.reload();
      if (!answer.ok) throw new Error(String(answer.status));
      const parsed = new DOMParser().parseFromString(await answer.text(), "text/html");
      append(parsed.getElementById("news"));
      parsed.querySelectorAll("[data-live]").forEach(replace);
    }
  } catch (problem) {
    say("out of date: sreops does not answer");
  } finally {
    running = false;
  }
}

function listen() {
  const url = new URL(body.dataset.events, location.href);
  if (log && lastSeq()) url.searchParams.set("last_event_id", String(lastSeq()));
  const stream = new EventSource(url);
  stream.onopen = () => { say("live"); refresh(); };
  stream.onerror = () => {
    say("reconnecting…");
    if (stream.readyState === EventSource.CLOSED) setTimeout(listen, AGAIN_MS); // a 503 ends it for good
  };
  stream.addEventListener("thought", refresh);
  stream.addEventListener("action", refresh);
}

function age(seconds) {
  const total = Math.max(0, Math.floor(seconds));
  if (total < 60) return `${total} s`;
  if (total < 3600) return `${Math.floor(total / 60)} min`;
  const minutes = Math.floor((total % 3600) / 60), hours = Math.floor((total % 86400) / 3600);
  if (total < 86400) return `${Math.floor(total / 3600)} h` + (minutes ? ` ${minutes} min` : "");
  return `${Math.floor(total / 86400)} d` + (hours ? ` ${hours} h` : "");
}

const skew = Date.parse(body.dataset.now) - Date.now(); // the browser's clock may be wrong
function tick() {
  for (const time of document.querySelectorAll("time[data-age]")) {
    time.textContent = `${age((Date.now() + skew - Date.parse(time.dateTime)) / 1000)} ago`;
  }
}

// Times in the reader's zone, or in UTC where he wants that: one way for all of them, kept in the browser.
const zone = document.getElementById("zone");
let utc = localStorage.getItem("sreops.utc") === "yes";
const DAY = { year: "numeric", month: "2-digit", day: "2-digit" };
const CLOCK = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
function localise(root) {
  const where = utc ? { timeZone: "UTC" } : {};
  const day = new Intl.DateTimeFormat("sv-SE", { ...DAY, ...where }), clock = new Intl.DateTimeFormat("sv-SE", { ...CLOCK, ...where });
  const today = day.format(new Date());
  for (const time of root.querySelectorAll("time[data-at]")) {
    const at = new Date(time.dateTime), date = day.format(at);
    time.textContent = (date === today ? "" : `${date} `) + clock.format(at) + (utc ? " UTC" : "");
  }
}
function showZone() {
  const yours = Intl.DateTimeFormat().resolvedOptions().timeZone || "yours";
  const turn = document.createElement("button");
  turn.type = "button";
  turn.className = "link";
  turn.textContent = utc ? `show them in ${yours}` : "show them in UTC";
  turn.addEventListener("click", () => {
    utc = !utc;
    localStorage.setItem("sreops.utc", utc ? "yes" : "no");
    localise(document);
    showZone();
    zone.querySelector("button").focus();
  });
  zone.replaceChildren(`times are ${utc ? "UTC" : yours} (`, turn, ")");
}

// How many incidents need a person: in the title and the icon, also where the tab is in the background.
const needsTitle = document.title;
function count(root) {
  const needs = root.matches("[data-count]") ? root : root.querySelector("[data-count]");
  if (!needs) return;
  const number = Number(needs.dataset.count);
  document.title = number ? `${number} need you · sreops` : needsTitle.replace(/^\d+ need you · /, "");
  const icon = document.querySelector("link[rel=icon]");
  if (icon.dataset.attention) icon.href = number ? icon.dataset.attention : icon.dataset.calm;
}

// Who decides is typed once per browser.
function remember(root) {
  for (const field of root.querySelectorAll("[data-remember]")) {
    const key = `sreops.${field.dataset.remember}`;
    if (!field.value) field.value = localStorage.getItem(key) || "";
    field.form.addEventListener("submit", () => localStorage.setItem(key, field.value));
  }
}

document.addEventListener("click", (event) => {
  for (const open of document.querySelectorAll("details.drop[open]")) {
    if (!open.contains(event.target)) open.open = false;
  }
});

remember(document);
localise(document);
showZone();
count(document.body);
if (log) log.scrollTop = log.scrollHeight;
if (body.dataset.fragment) {
  listen();
  setInterval(tick, 5000);
  setInterval(refresh, HEALTH_MS);
}
