for (const button of document.querySelectorAll('button[data-copies]')) {
  button.addEventListener('click', () => {
    const text = document.getElementById(button.dataset.copies);
    const range = document.createRange();
    range.selectNodeContents(text);
    const selection = window.getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
    // A page opened from disk may not use the newer clipboard.
    button.textContent = document.execCommand('copy') ? 'Copied' : 'Press Ctrl-C';
  });
}
