// The list of alerts, kept as it is in the ledger: the server sends it whenever it changes, and what has not changed stays
// as it is, with the keyboard's focus. Without this script the page loads itself again.
"use strict";
(() => {
  const list = document.getElementById("alerts");
  const live = document.getElementById("live");
  const title = document.title;
  let lost = 0;

  const say = (text) => { if (live.textContent !== text) live.textContent = text; };
  const count = () => { document.title = (list.children.length ? "(" + list.children.length + ") " : "") + title; };

  const update = (html) => {
    const box = document.createElement("template");
    box.innerHTML = html;
    const focused = list.contains(document.activeElement) ? document.activeElement.closest("li") : null;
    for (const item of [...list.children]) {
      if (!box.content.getElementById(item.id)) {
        if (item === focused) (item.nextElementSibling?.querySelector("button") ?? list).focus();
        item.remove();
      }
    }
    let before = list.firstElementChild;
    for (const item of [...box.content.children]) {
      if (before && before.id === item.id) {
        before = before.nextElementSibling;
      } else {
        item.classList.add("fresh");
        list.insertBefore(item, before);
      }
    }
    count();
  };

  const feed = new EventSource(list.dataset.feed);
  feed.addEventListener("open", () => { clearTimeout(lost); lost = 0; say("Updates by itself."); });
  feed.addEventListener("list", (e) => update(e.data));
  feed.addEventListener("error", () => {
    if (feed.readyState === EventSource.CLOSED) { // refused: the login is over, or the server is being restarted
      say("Not connected. The page will be loaded again.");
      setTimeout(() => location.reload(), 10000);
    } else if (!lost) {
      lost = setTimeout(() => say("The connection is lost; trying again."), 5000);
    }
  });

  list.addEventListener("submit", (e) => {
    e.preventDefault();
    if (e.submitter.ariaDisabled === "true") return; // it is on its way
    const data = new URLSearchParams({ id: e.submitter.value });
    e.submitter.ariaDisabled = "true"; // and not disabled, which would take the focus away
    fetch(e.target.action, { method: "POST", body: data }).then((answer) => {
      if (!answer.ok || new URL(answer.url).pathname !== location.pathname) throw answer.status;
    }).catch(() => {
      e.submitter.ariaDisabled = "false";
      say("That could not be saved; try again.");
    });
  });
  count();
})();
