// Ordering a list. Its `data-order` is the URL that takes the order; empty: its form sends it.
"use strict";

const rowOf = (part) => part.closest?.("li[data-id]"), listOf = (row) => row.closest("[data-order]");
const rowsOf = (list) => [...list.querySelectorAll(":scope > li[data-id]")], at = (row) => rowsOf(listOf(row)).indexOf(row);

function place(row, to) {
	const list = listOf(row), rest = rowsOf(list).filter((other) => other !== row);
	const focused = row.contains(document.activeElement) && document.activeElement;
	list.insertBefore(row, rest[Math.max(0, to)] ?? null);
	if (focused) focused.focus();
	announce(`${row.dataset.name}, position ${at(row) + 1} of ${rest.length + 1}`);
}

function settle(list) {
	list.closest("[data-guard]")?.setAttribute("data-dirty", "");
	const { order, rev = "" } = list.dataset, ids = rowsOf(list).map((row) => row.dataset.id);
	if (order) htmx.ajax("POST", order, { source: list, swap: "none", values: { ids, rev } });
}

// Buttons: one step.
on("click", (event) => {
	const button = event.target.closest("[data-move]"), row = button && rowOf(button);
	if (!row) return;
	event.preventDefault();
	place(row, at(row) + Number(button.dataset.move));
	settle(listOf(row));
});

// Keyboard on the handle: Space or Enter picks up and drops, Escape puts it back.
let lifted = null;
function lift(row) {
	lifted = { row, from: at(row) };
	row.setAttribute("data-held-row", "");
	place(row, at(row));
}
function drop(back) {
	const { row, from } = lifted ?? {};
	lifted = null;
	if (!row) return;
	row.removeAttribute("data-held-row");
	if (back) place(row, from); else if (at(row) !== from) settle(listOf(row));
}
on("keydown", (event) => {
	const handle = event.target.closest?.("[data-handle]"), row = handle && rowOf(handle), { key } = event;
	if (!row) return;
	const to = { ArrowUp: at(row) - 1, ArrowDown: at(row) + 1, Home: 0, End: 1e6 }[key];
	if (key === " " || key === "Enter") { if (lifted) drop(); else lift(row); }
	else if (lifted && key === "Escape") drop(true);
	else if (lifted && to !== undefined) place(row, to);
	else return;
	event.preventDefault();
});
// A row that moves loses the focus for a moment.
on("focusout", () => setTimeout(() => { if (lifted && !drag && !lifted.row.contains(document.activeElement)) drop(true); }));

// Pointer: 8 px until it is a drag; the page scrolls along at its edges.
let drag = null;
on("pointerdown", (event) => {
	const handle = event.target.closest("[data-handle]");
	if (!handle || event.button) return;
	handle.setPointerCapture(event.pointerId);
	drag = { row: rowOf(handle), y: event.clientY };
});
on("pointermove", ({ clientY: y }) => {
	if (!drag || (!lifted && Math.abs(y - drag.y) < 8)) return;
	if (!lifted) lift(drag.row);
	scrollBy(0, y < 70 ? -12 : y > innerHeight - 70 ? 12 : 0);
	const over = rowsOf(listOf(drag.row)).findIndex((row) => {
		const { top, bottom } = row.getBoundingClientRect();
		return y >= top && y <= bottom;
	});
	if (over >= 0 && over !== at(drag.row)) place(drag.row, over);
});
const end = (back) => () => { if (drag) { drag = null; drop(back); } };
on("pointerup", end(false));
on("pointercancel", end(true));
