// Colours, drawer, dialogs, copying, times, toasts, the password asked for again.
"use strict";
// htmx parses answers of this server, which escapes what it renders; scripts and script URLs stay refused.
window.trustedTypes?.createPolicy("default", { createHTML: (html) => html });

const $ = (id) => document.getElementById(id), root = document.documentElement;
const all = (selector) => document.querySelectorAll(selector), one = (selector) => document.querySelector(selector);
const on = (name, act, capture) => document.addEventListener(name, act, capture);
const announce = (text) => { $("announce").textContent = text; };

function switchTheme() {
	const next = { auto: "dark", dark: "light" }[root.dataset.theme] ?? "auto";
	root.dataset.theme = next;
	document.cookie = `nr_theme=${next};path=/;max-age=31536000;samesite=lax`;
	announce(`Colours: ${next}`);
}

// What is behind the drawer cannot be reached while it is open.
function drawer(open) {
	const nav = $("nav");
	if (!nav || nav.classList.contains("open") === open) return;
	nav.classList.toggle("open", open);
	one(".col").inert = open;
	(open ? nav.querySelector("li a") : one("[data-open]")).focus();
}

async function copy(button) {
	const from = $(button.dataset.copy), use = button.querySelector("use"), href = use.getAttribute("href");
	try {
		await navigator.clipboard.writeText(from.textContent);
	} catch { // Plain http has no clipboard: select, and use the old command.
		getSelection().selectAllChildren(from);
		document.execCommand("copy");
	}
	announce("Copied");
	use.setAttribute("href", href.replace("#copy", "#check"));
	setTimeout(() => { use.setAttribute("href", href); announce(""); }, 2000);
}

function reveal(button) {
	const field = $(button.dataset.reveal), shown = field.type === "text";
	field.type = shown ? "password" : "text";
	button.textContent = shown ? "Show" : "Hide";
	button.ariaPressed = !shown;
}

on("click", (event) => {
	const hit = (selector) => event.target.closest(selector), menu = hit(".menu");
	all(".menu[open]").forEach((open) => { if (open !== menu || hit(".pop")) open.open = false; });
	if (!hit("#nav,[data-open]")) drawer(false);
	const button = hit("[data-theme-switch],[data-open],[data-close],[data-copy],[data-reveal]");
	if (!button) return;
	const { close, copy: copied, themeSwitch, open, reveal: shown } = button.dataset, box = button.closest("dialog");
	if (copied) copy(button);
	else if (shown) reveal(button);
	else if (themeSwitch === "") switchTheme();
	else if (close === "toast") button.closest(".toast").remove();
	else if (open || close === "nav") { event.preventDefault(); drawer(!close); }
	else if (box) { event.preventDefault(); box.close(); }
});

// Dialogs open when something comes into them, and close when the server says so.
on("htmx:afterSwap", ({ target }) => {
	const box = target.closest?.("dialog");
	if (!box || box.firstElementChild !== target) return;
	if (!target.firstElementChild) box.close(); else if (!box.open) box.showModal();
});
on("close-dialog", () => $("dialog").close());
on("close", ({ target }) => { if (target.matches("#dialog,#sudo")) target.firstElementChild.replaceChildren(); }, true);

// 428: the password; then the same thing again, with what was entered and the new session's token.
let waiting = {};
on("htmx:beforeSwap", ({ detail }) => {
	if (detail.xhr.status !== 428) return;
	const { elt, triggeringEvent } = detail.requestConfig;
	waiting = { elt, by: triggeringEvent?.submitter };
	detail.target = $("sudo-body");
	detail.swapOverride = "innerHTML";
});
on("sudo-done", ({ detail: { csrf } }) => {
	const { elt, by } = waiting;
	waiting = {};
	if (csrf) {
		document.body.setAttribute("hx-headers", JSON.stringify({ "X-CSRF-Token": csrf }));
		all("input[name=_csrf]").forEach((field) => { field.value = csrf; });
	}
	$("sudo").close();
	if (elt?.matches("form")) elt.requestSubmit(by); else elt?.click();
});

// Toasts: three at most; good news goes after six seconds. What the script has to say stands in the page.
function toast(text) {
	const box = $("oops").content.cloneNode(true);
	box.querySelector("p").textContent = text;
	$("toasts").append(box);
}
function trimToasts() {
	const boxes = $("toasts").children;
	while (boxes.length > 3) boxes[0].remove();
	for (const box of boxes) if (!box.matches(".bad")) setTimeout(() => box.remove(), 6000);
}
if ($("toasts")) {
	trimToasts();
	new MutationObserver(trimToasts).observe($("toasts"), { childList: true });
}
on("htmx:responseError", ({ detail: { xhr } }) => {
	const words = $("oops").dataset;
	toast(words[xhr.status] ?? `${words.other} ${xhr.getResponseHeader("x-request-id") ?? ""}`);
});
on("htmx:sendError", () => toast($("oops").dataset.silent));

// Relative times: text only, once a second, by the server's clock.
const skew = (root.dataset.now || Date.now()) - Date.now();
function span(s) {
	const m = ~~(s / 60), h = ~~(m / 60), d = ~~(h / 24);
	return d ? `${d} d ${h % 24} h` : h ? `${h} h ${String(m % 60).padStart(2, 0)} m` : m ? `${m} m` : `${s} s`;
}
setInterval(() => {
	for (const time of document.hidden ? [] : all("time[data-ago],time[data-until]")) {
		const past = Math.floor((Date.now() + skew - Date.parse(time.dateTime)) / 1000);
		const text = "ago" in time.dataset ? (past < 1 ? "just now" : `${span(past)} ago`) : past > -1 ? "now" : `in ${span(-past)}`;
		if (time.textContent !== text) time.textContent = text;
	}
}, 1000);
