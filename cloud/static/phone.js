// Adds position, countdown and live status to pages that work without it.
"use strict";
const $ = (selector) => document.querySelector(selector);
reveal();

// Live status: the server says that something changed, the page fetches itself and takes over what differs.
async function refresh() {
  const answer = await fetch(location.pathname, { cache: "no-store" });
  if (!answer.ok) return false;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  const over = fresh.querySelector("[data-events], [data-poll]") === null;
  const open = $("#codes") && $("#codes").open;
  document.title = fresh.title;
  for (const id of ["away", "stage", "rest"]) {
    const now = document.getElementById(id), next = fresh.getElementById(id);
    if (!now || !next) continue;
    now.className = next.className;
    now.hidden = next.hidden;
    now.replaceChildren(...next.childNodes);
  }
  if (open && $("#codes")) $("#codes").open = true;
  reveal();
  return over;
}
function watch(events) {
  const source = new EventSource(events);
  source.addEventListener("changed", async () => { if (await refresh().catch(lost)) source.close(); });
  source.onerror = () => { // the browser reconnects by itself, unless it was told to go away
    if (!navigator.onLine) lost();
    if (source.readyState === EventSource.CLOSED) setTimeout(poll, 3000);
  };
}
async function poll() { if (!(await refresh().catch(lost))) setTimeout(poll, 3000); }
const live = $("[data-events]"), slow = $("[data-poll]");
if (live) watch(live.dataset.events);
if (slow) setTimeout(poll, 3000);

// Without a connection the page says as of when it is, and shows the codes that open all the same.
function lost() {
  if ($("#away")) $("#away").hidden = false;
  if ($("#codes")) $("#codes").open = true;
  return false;
}
const away = $("#away");
if (away) {
  addEventListener("offline", lost);
  addEventListener("online", back); // the first try may come too soon, or be answered by what is kept
  if (!away.hidden) setTimeout(back, 3000); // kept by the service worker: try until the server answers
}
async function back() { if (!away.hidden && (await refresh().catch(lost), !away.hidden)) setTimeout(back, 3000); }
if ("serviceWorker" in navigator) {
  const tell = ({ active }) => active && active.postMessage(location.pathname);
  if (away) navigator.serviceWorker.register("/sw.js", { scope: "/p/" }).then(() => navigator.serviceWorker.ready).then(tell, () => {});
  else navigator.serviceWorker.getRegistration("/p/").then((kept) => kept && tell(kept));
}

// Countdown of a fee; when it is over the server shows what to do.
const until = $("[data-until]");
if (until) {
  const end = Date.now() + Number(until.dataset.left) * 1000;
  const tick = () => {
    const left = Math.max(0, Math.round((end - Date.now()) / 1000));
    const clock = Math.floor(left / 60) + ":" + String(left % 60).padStart(2, "0");
    until.textContent = until.dataset.until.replace("{left}", clock);
    if (left) setTimeout(tick, 500); else setTimeout(() => location.reload(), 1000);
  };
  tick();
}

// Position: asked for only when the driver presses the button, or has allowed it before.
function position(found, failed) {
  navigator.geolocation.getCurrentPosition(({ coords }) => found(new URLSearchParams({
    lat: coords.latitude.toFixed(5), lon: coords.longitude.toFixed(5), acc: Math.round(coords.accuracy),
  })), failed, { enableHighAccuracy: true, timeout: 8000, maximumAge: 60000 });
}
const near = $("#near");
if (near) near.addEventListener("click", () => {
  const say = $("#near-say");
  say.textContent = near.dataset.wait;
  position((at) => location.assign("/near?" + at), () => { say.textContent = near.dataset.fail; });
});
const here = $("#here");
if (here) {
  const check = () => position(async (at) => {
    const answer = await fetch(location.pathname.replace(/\/fee$/, "") + "?" + at, { cache: "no-store" });
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (answer.ok) $("#place").replaceChildren(...fresh.getElementById("place").childNodes);
  }, () => { $("#here").hidden = true; });
  here.addEventListener("click", check);
  if (navigator.permissions) navigator.permissions.query({ name: "geolocation" })
    .then(({ state }) => { if (state === "granted") check(); });
}

// Digits first; letters at a touch.
const letters = $("#letters"), field = $("#name");
if (letters) {
  field.inputMode = "numeric";
  letters.addEventListener("click", () => {
    const digits = field.inputMode === "text";
    field.inputMode = digits ? "numeric" : "text";
    letters.textContent = digits ? letters.dataset.letters : letters.dataset.digits;
    field.focus();
  });
}

// One press is enough.
for (const form of document.forms) form.addEventListener("submit", () => {
  const button = form.querySelector("button[type=submit]");
  if (button) setTimeout(() => { button.disabled = true; });
});
addEventListener("pageshow", () => { for (const button of document.querySelectorAll("button")) button.disabled = false; });
function reveal() {
  for (const element of document.querySelectorAll("[data-js]")) element.hidden = false;
  const print = $("#print");
  if (print) { print.hidden = false; print.addEventListener("click", () => window.print()); }
}
