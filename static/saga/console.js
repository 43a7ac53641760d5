// The console's own behaviour: times, live parts, copying, and what unfold's templates ask of Alpine.
"use strict";

// --- Alpine: its build without eval reaches registered names only ---------------------------------

document.addEventListener("alpine:init", () => {
  Alpine.data("theme", theme);
  Alpine.data("searchForm", searchForm);
  Alpine.data("page", () => ({
    activeTab: window.location.hash.slice(1) || document.body.dataset.firstTab,
    sidebarMobileOpen: false,
    sidebarDesktopOpen: stored("sidebarDesktopOpen") !== "0",
    toggleSidebar() {
      this.sidebarDesktopOpen = !this.sidebarDesktopOpen;
      localStorage.setItem("sidebarDesktopOpen", this.sidebarDesktopOpen ? "1" : "0");
    },
  }));
});

function stored(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

// --- Times: the reader's zone, with UTC on hover --------------------------------------------------

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const calendar = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const calendarWithYear = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });
const ago = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "narrow" });
const STAMP = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d) UTC$/;

function absolute(moment) {
  const now = new Date();
  if (moment.toDateString() === now.toDateString()) return clock.format(moment);
  const day = moment.getFullYear() === now.getFullYear() ? calendar : calendarWithYear;
  return `${day.format(moment)}, ${clock.format(moment)}`;
}

function relative(moment) {
  const seconds = Math.round((moment - Date.now()) / 1000);
  const size = Math.abs(seconds);
  if (size < 3) return "now";
  if (size < 60) return ago.format(seconds, "second");
  if (size < 3600) return ago.format(Math.trunc(seconds / 60), "minute");
  if (size < 48 * 3600) return ago.format(Math.trunc(seconds / 3600), "hour");
  return ago.format(Math.trunc(seconds / 86400), "day");
}

function showTime(element) {
  const moment = new Date(element.dateTime);
  if (Number.isNaN(moment.getTime())) return;
  const utc = `${moment.toISOString().slice(0, 19).replace("T", " ")} UTC`;
  if (element.title !== utc) element.title = utc;
  const text = element.dataset.as === "relative" ? relative(moment) : absolute(moment);
  if (element.textContent !== text) element.textContent = text;
}

function showTimes(root) {
  for (const element of root.querySelectorAll("time[datetime]")) showTime(element);
}

// Lists of Django's admin print bare text.
function markTimes() {
  for (const cell of document.querySelectorAll("#result_list td, #result_list th, .readonly")) {
    const place = cell.querySelector(":scope > a") || cell;
    const match = place.childElementCount === 0 && STAMP.exec(place.textContent.trim());
    if (!match) continue;
    const time = document.createElement("time");
    time.dateTime = `${match[1]}T${match[2]}Z`;
    place.replaceChildren(time);
  }
}

// Messages name moments as the API does.
function markMessages() {
  for (const place of document.querySelectorAll("li > .errornote, li > .rounded-default")) {
    const parts = place.textContent.trim().split(/(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)/);
    if (place.childElementCount > 0 || parts.length === 1) continue;
    const shown = parts.map((part, index) => {
      if (index % 2 === 0) return part;
      const time = document.createElement("time");
      time.dateTime = part;
      return time;
    });
    place.replaceChildren(...shown);
  }
}

setInterval(() => {
  if (!document.hidden) showTimes(document);
}, 5000);

// --- Live parts: asked for while the tab is seen, again and again after an outage ------------------

const SLOWEST_SECONDS = 15;
let failures = 0;

function connection(state) {
  document.documentElement.dataset.connection = state;
  const line = document.getElementById("sg-connection");
  if (line) line.textContent = state === "lost" ? "Saga does not answer; trying again" : state === "out" ? "You are logged out" : "Live";
}

async function refresh(region) {
  const answer = await fetch(region.dataset.live, {
    headers: { "X-Saga-Fragment": region.id, "X-Saga-Digest": region.dataset.digest || "" },
    credentials: "same-origin",
    redirect: "manual",
    cache: "no-store",
  });
  if (answer.type === "opaqueredirect" || answer.status === 403) return "out";
  const onward = answer.headers.get("X-Saga-Onward");
  if (onward) window.location.assign(onward);
  if (answer.status === 204) return "live";
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  swap(region, await answer.text(), answer.headers.get("X-Saga-Digest"));
  return "live";
}

// What the reader has opened or folded stays so, whatever the server would show; keys click a summary, too.
const folded = new Map();
document.addEventListener("click", (event) => {
  const details = event.target.closest("summary")?.parentElement;
  if (details?.id) folded.set(details.id, !details.open);
});

function swap(region, html, digest) {
  const focused = document.activeElement && region.contains(document.activeElement) ? document.activeElement.id : "";
  const scrolled = [...region.querySelectorAll("[data-scrolls][id]")].map((element) => [element.id, element.scrollLeft]);
  const template = document.createElement("template");
  template.innerHTML = html;
  region.replaceChildren(template.content);
  region.dataset.digest = digest || "";
  for (const [id, isOpen] of folded) document.getElementById(id)?.toggleAttribute("open", isOpen);
  for (const [id, left] of scrolled) document.getElementById(id)?.scrollTo({ left });
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  showTimes(region);
}

async function keepFresh(region) {
  const every = Number(region.dataset.every || 3);
  let wait = every;
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, wait * 1000));
    if (document.hidden) await untilSeen();
    if (!region.isConnected) return;
    try {
      const state = await refresh(region);
      failures = 0;
      connection(state);
      if (state === "out") return;
      wait = every;
    } catch {
      failures += 1;
      if (failures > 1) connection("lost");
      wait = Math.min(every * 2 ** Math.min(failures, 3), SLOWEST_SECONDS);
    }
  }
}

function untilSeen() {
  return new Promise((resolve) => {
    document.addEventListener("visibilitychange", resolve, { once: true });
  });
}

// --- Small things ---------------------------------------------------------------------------------

async function copy(button) {
  const source = document.getElementById(button.dataset.copies);
  const label = button.querySelector("[data-label]");
  try {
    await navigator.clipboard.writeText(source.textContent);
    label.textContent = "Copied";
  } catch {
    window.getSelection().selectAllChildren(source);
    label.textContent = "Selected";
  }
  setTimeout(() => {
    label.textContent = "Copy";
  }, 2000);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copies]");
  if (button) copy(button);
  const choice = event.target.closest("[data-theme]");
  if (choice) Alpine.$data(document.documentElement).switchTheme(choice.dataset.theme);
  for (const menu of document.querySelectorAll("details[data-closes-outside][open]")) {
    if (!menu.contains(event.target)) menu.removeAttribute("open");
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details[data-closes-outside][open]")) menu.removeAttribute("open");
});

document.addEventListener("submit", (event) => {
  // A double click must not ask twice.
  for (const button of event.target.querySelectorAll("[data-once]")) setTimeout(() => { button.disabled = true; }, 0);
});

document.addEventListener("DOMContentLoaded", () => {
  markTimes();
  markMessages();
  showTimes(document);
  for (const region of document.querySelectorAll("[data-live]")) keepFresh(region);
});

// Select2 hides the field that its label names, and puts one without a name in its place. jQuery calls
// whoever waits for it in turn, and Select2's makers came first.
window.django?.jQuery?.(() => {
  for (const field of document.querySelectorAll("select.select2-hidden-accessible")) {
    const name = field.labels?.[0]?.textContent.trim() || field.name;
    const stand = field.nextElementSibling;
    for (const part of stand?.querySelectorAll("[role=combobox], [role=textbox]") || []) {
      part.removeAttribute("aria-labelledby");
      part.setAttribute("aria-label", name);
    }
  }
});
