// Keeps the latest receipts on this phone, so that their codes can be shown without a connection. Controls /p/ alone.
"use strict";
const CACHE = "receipts-1", MOST = 5, PATIENCE = 6000, HOUR = 3600e3, KEPT_FOR = 7 * 24 * HOUR;
const ANY = { ignoreVary: true };
const isReceipt = ({ origin, pathname }) => origin === location.origin && /^\/p\/[\w-]+$/.test(pathname);
const until = (answer) => Number(answer.headers.get("Daiko-Keep-Until"));
const assets = (html) => html.match(/\/static\/[\w.-]+\?v=\w+/g) || [];

addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(clients.claim().then(sweep)));
addEventListener("message", (event) => { // a page says where it is: the first one was loaded before we were there
  const url = new URL(event.data, location.origin);
  event.waitUntil(isReceipt(url) ? fetch(url.pathname, { cache: "no-store" }).then((answer) => keep(url.pathname, answer), () => {}) : sweep());
});
addEventListener("fetch", (event) => {
  const { request } = event, url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== location.origin) return;
  if (url.pathname.startsWith("/static/")) event.respondWith(caches.match(request, ANY).then((kept) => kept || fetch(request)));
  else if (url.pathname === "/p/" && request.mode === "navigate") event.respondWith(begin(request));
  else if (isReceipt(url)) event.respondWith(show(event, url.pathname));
});

// The network first; what was kept, if it does not answer.
async function show(event, path) {
  const kept = event.request.mode === "navigate" ? await find(path) : undefined;
  try {
    const asked = fetch(event.request);
    const answer = await (kept ? Promise.race([asked, new Promise((_, fail) => setTimeout(fail, PATIENCE))]) : asked);
    if (kept && answer.status >= 500) return asItWas(kept);
    event.waitUntil(keep(path, answer.clone()));
    return answer;
  } catch {
    return kept ? asItWas(kept) : Response.error();
  }
}

// The page says by itself as of when it is; it only has to be let.
async function asItWas(kept) {
  const html = (await kept.text()).replace('id="away" hidden', 'id="away"').replace('id="codes"', 'id="codes" open');
  const headers = new Headers(kept.headers);
  for (const name of ["content-encoding", "content-length"]) headers.delete(name);
  return new Response(html, { headers });
}

// From the home screen: the last receipt while it is fresh, or while there is no connection.
async function begin(request) {
  const [last] = await receipts(await caches.open(CACHE));
  if (last && last.until - KEPT_FOR + 12 * HOUR > Date.now()) return Response.redirect(last.url);
  return fetch(request).catch(() => (last ? Response.redirect(last.url) : Response.error()));
}

async function find(path) {
  const kept = await (await caches.open(CACHE)).match(path, ANY);
  return kept && until(kept) > Date.now() ? kept : undefined;
}

async function keep(path, answer) {
  const cache = await caches.open(CACHE);
  if (answer.status === 404) await cache.delete(path, ANY);
  if (!answer.ok || !(until(answer) > Date.now())) return;
  const html = await answer.clone().text();
  await cache.put(path, answer);
  for (const asset of assets(html)) if (!(await cache.match(asset, ANY))) await cache.add(asset).catch(() => {});
  await sweep();
}

// Receipts, the latest first.
async function receipts(cache) {
  const found = [];
  for (const { url } of await cache.keys()) {
    if (isReceipt(new URL(url))) found.push({ url, until: until(await cache.match(url, ANY)) });
  }
  return found.sort((a, b) => b.until - a.until);
}

// At most MOST receipts, none beyond its time, and only the files that they need.
async function sweep() {
  const cache = await caches.open(CACHE), needed = new Set();
  for (const [at, { url, until }] of (await receipts(cache)).entries()) {
    if (at >= MOST || !(until > Date.now())) await cache.delete(url, ANY);
    else for (const asset of assets(await (await cache.match(url, ANY)).text())) needed.add(new URL(asset, url).href);
  }
  for (const { url } of await cache.keys()) if (!isReceipt(new URL(url)) && !needed.has(url)) await cache.delete(url, ANY);
}
