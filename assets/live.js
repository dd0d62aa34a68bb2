// Behind the sign-in: the feed, lists that grow, the log's tail, unsaved changes, keyboard.
"use strict";

// One feed per tab; none in a tab that nobody has seen for 60 s.
let source, lost = [], sleep, asleep = false, state = ["", "Connecting…"];
htmx.createEventSource = (url) => (source = new EventSource(url));
function live(...now) {
	state = now;
	for (const mark of all("[data-live]")) [mark.dataset.live, mark.firstElementChild.textContent] = state;
}
on("htmx:sseOpen", () => {
	lost = lost.forEach(clearTimeout) ?? [];
	live("on", "Live");
});
on("htmx:sseError", () => {
	if (!lost.length) lost = [setTimeout(live, 3e3, "wait", "Reconnecting…"), setTimeout(live, 3e4, "off", "Offline: reload")];
});
on("htmx:oobAfterSwap", () => live(...state));
on("visibilitychange", () => {
	clearTimeout(sleep);
	if (document.hidden) sleep = setTimeout(() => { source?.close(); asleep = true; }, 6e4);
	else if (asleep) {
		asleep = false;
		if (unsaved()) live("off", "Offline: reload");
		else htmx.ajax("GET", location.pathname + location.search, { target: "#main", swap: "innerHTML" });
	}
});

// What somebody uses is not swapped away: news waits until the menu closes or the field is left.
const held = new Map();
const used = (part) => part.querySelector("details[open],:is(input,select,textarea):focus");
function release() {
	for (const [part, data] of held) {
		if (part.isConnected && used(part)) continue;
		held.delete(part);
		if (part.isConnected) htmx.swap(part, data, { swapStyle: part.getAttribute("hx-swap") });
	}
}
on("toggle", () => setTimeout(release), true);
on("focusout", () => setTimeout(release));

// The log follows its tail while its end is in view; paused, the newest batches are kept back.
let paused = false, backlog = [], follow = true;
const log = () => one("[data-tail]"), grows = (part) => part.dataset?.most;
on("htmx:sseBeforeMessage", (event) => {
	const { target, detail: { data } } = event, box = log();
	if (box) follow = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
	if (grows(target) && paused) {
		event.preventDefault();
		backlog = [...backlog, data].slice(-200);
		one("[data-held]").textContent = `+${backlog.join("").split(" data-row").length - 1}`;
	} else if (used(target)) {
		event.preventDefault();
		held.set(target, data);
	}
});
function trim({ target }) {
	while (grows(target) && target.children.length > target.dataset.most) {
		(target.getAttribute("hx-swap") === "beforeend" ? target.firstElementChild : target.lastElementChild).remove();
	}
	if (follow && log()) log().scrollTop = log().scrollHeight;
}
on("htmx:sseMessage", trim);
on("click", ({ target }) => {
	const button = target.closest("[data-pause],[data-wrap],[data-clear]"), list = one("[data-most]");
	if (!button || !list) return;
	if ("clear" in button.dataset) return list.replaceChildren();
	const pressed = button.getAttribute("aria-pressed") !== "true";
	button.setAttribute("aria-pressed", pressed);
	if ("wrap" in button.dataset) return list.classList.toggle("wrapped", pressed);
	paused = pressed;
	if (paused) return;
	for (const data of backlog) htmx.swap(list, data, { swapStyle: list.getAttribute("hx-swap") });
	backlog = [];
	one("[data-held]").textContent = "";
	trim({ target: list });
});

// Unsaved changes: leaving asks. What was refused is still unsaved.
const unsaved = () => one("form[data-guard][data-dirty]"), dirty = (form) => form?.matches?.("[data-guard]") && form.setAttribute("data-dirty", "");
on("input", ({ target }) => dirty(target.form));
on("submit", ({ target }) => target.removeAttribute("data-dirty"));
on("htmx:afterRequest", ({ detail }) => { if (!detail.successful) dirty(detail.elt); });
on("htmx:beforeRequest", (event) => {
	if (event.detail.elt.getAttribute("hx-trigger") === "sse:resync" && unsaved()) event.preventDefault();
});
addEventListener("beforeunload", (event) => { if (unsaved()) event.preventDefault(); });
on("htmx:confirm", (event) => {
	if (!unsaved() || !event.detail.elt.closest("[hx-boost=true]")) return;
	event.preventDefault();
	const ask = $("leave");
	ask.returnValue = "";
	ask.onclose = () => {
		if (ask.returnValue !== "leave") return;
		unsaved().removeAttribute("data-dirty");
		event.detail.issueRequest(true);
	};
	ask.showModal();
});

// After a boosted link the drawer closes, and reading starts at the new page.
on("htmx:afterSettle", ({ target }) => {
	if (target.id !== "main") return;
	[paused, backlog, follow] = [false, [], true];
	drawer(false);
	target.focus({ preventScroll: true });
});

// Keyboard: single keys, never within fields, and only while the setting is on.
const places = { o: "", e: "/endpoint", p: "/providers", c: "/combos", l: "/logs" };
let went = 0;
on("keydown", (event) => {
	const { key, target } = event;
	if (key === "Escape") drawer(false);
	if (event.ctrlKey || event.metaKey || event.altKey || !("keys" in root.dataset)) return;
	if (target.closest("input,select,textarea,dialog,[data-held-row]")) return;
	const goes = Date.now() - went < 1000 && key in places;
	went = key === "g" ? Date.now() : 0;
	const found = one(goes ? `#nav li a[href="/dashboard${places[key]}"]` : { "/": "[type=search]", n: "[data-new]", p: "[data-pause]" }[key] ?? "#none");
	if (!found) return;
	event.preventDefault();
	if (key === "/") found.focus(); else found.click();
});
