// Behind the sign-in: the feed, lists that grow, unsaved changes, keyboard.
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
const used = (part) => part.querySelector("details[open],:is(input,select,textarea):focus,[name=ids]:checked");
function release() {
	for (const [part, data] of held) {
		if (part.isConnected && used(part)) continue;
		held.delete(part);
		if (part.isConnected) htmx.swap(part, data, { swapStyle: part.getAttribute("hx-swap") });
	}
}
on("toggle", () => setTimeout(release), true);
on("focusout", () => setTimeout(release));

// Lists that grow: their newest end is kept; paused, the newest batches are kept back.
let paused = false, backlog = [];
const grows = (part) => part.dataset?.most;
on("htmx:sseBeforeMessage", (event) => {
	const { target, detail: { data } } = event;
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
}
on("htmx:sseMessage", trim);
on("click", ({ target }) => {
	const button = target.closest("[data-log]"), list = one("[data-most]");
	if (!button) return;
	const act = button.dataset.log, pressed = button.ariaPressed !== "true";
	if (act === "clear") return list.replaceChildren();
	button.ariaPressed = pressed;
	if (act === "wrap") return list.classList.toggle("wrapped", pressed);
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
on("submit", ({ target }) => {
	target.removeAttribute("data-dirty");
	if (target.matches("[action='/logout']")) source?.close();
});
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

// A chosen file is read into a field.
on("change", async ({ target }) => {
	const into = $(target.dataset.into);
	if (into) into.value = await target.files[0].text();
});

// After a boosted link drawer and palette close, and reading starts at the new page.
on("htmx:afterSettle", ({ target, detail }) => {
	if (target.id !== "main") return;
	[paused, backlog] = [false, []];
	drawer(false);
	if (detail.requestConfig?.elt.closest("#palette")) $("dialog").close();
	target.focus({ preventScroll: true });
});

// Keyboard: what has a key of its own names it (`data-key`: "n", "go"). Single keys do nothing within fields, and only
// while the setting is on. Arrows go through what the palette found, j and k through a page's rows.
let went = 0;
function step(selector, by) {
	const parts = [...all(selector)];
	parts[parts.indexOf(document.activeElement) + by]?.focus();
}
on("keydown", (event) => {
	const { key, target } = event, command = event.ctrlKey || event.metaKey || event.altKey;
	const arrow = { ArrowDown: 1, ArrowUp: -1 }[key], row = { j: 1, k: -1 }[key];
	if (key === "Escape") drawer(false);
	if (arrow && target.closest("#palette")) step("#palette :is([type=search],a)", arrow);
	const name = command ? `^${key}` : Date.now() - went < 1e3 ? `g${key}` : key;
	const deaf = command ? "dialog" : "input,select,textarea,dialog,[data-held-row],html:not([data-keys])";
	if (target.closest(deaf)) return;
	went = name === "g" ? Date.now() : 0;
	if (row && name === key) step("main .t b a", row);
	const found = one(`[data-key~="${CSS.escape(name)}"]`);
	if (!found) return;
	event.preventDefault();
	if (found.matches("input")) found.focus(); else found.click();
});
