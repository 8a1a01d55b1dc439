// Buttons that copy a text of the page; they stay hidden where the browser has no clipboard for pages of a folder.
for (const button of document.querySelectorAll("button[data-copies]")) {
  const text = document.getElementById(button.dataset.copies), words = button.textContent;
  button.hidden = false;
  button.addEventListener("click", () => {
    const said = (done) => { button.textContent = done ? "Copied" : "Select the text and press Ctrl+C"; setTimeout(() => { button.textContent = words; }, 2500); };
    const selection = getSelection(), range = document.createRange();
    range.selectNodeContents(text);
    selection.removeAllRanges();
    selection.addRange(range);
    let done = false;
    try { done = document.execCommand("copy"); } catch { /* said below */ }
    said(done);
  });
}
