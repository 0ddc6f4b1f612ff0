// Watch: the page of a scene that is being learned comes anew, with the same view, once it is predicted again.

const WATCH_MS = 3000;

async function watch({ scene, step }) {
  try {
    const answer = await fetch("../facts.json"), news = await answer.json();
    if (news.learned[scene] !== step) { location.reload(); return; }
  } catch {
    // The training has ended: what is on screen stays.
    return;
  }
  setTimeout(watch, WATCH_MS, { scene, step });
}

setTimeout(watch, WATCH_MS, readFacts().learned);
