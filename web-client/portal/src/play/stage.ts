/**
 * The one place where a game is shown: `#stage` in `index.html`, outside the pages.
 *
 * It is opened by the first script, before any framework or catalogue has arrived, because what a player
 * feels is the time to the first frame. It stays outside the pages because an element that moves in the
 * document leaves its session.
 * **Invariant:** at most one `<near-frame>` exists, and only while the address is `/play/…`.
 */
import type { NearFrame } from '@nearframe/player';
import '@nearframe/player';
import type { Route } from '../router';

let current: { readonly title: string; readonly element: NearFrame } | undefined;

function host(): HTMLElement {
  const stage = document.getElementById('stage');
  if (!stage) throw new Error('index.html holds #stage');
  return stage;
}

/** Opens the stage on `/play/…`, starting at once where the address says so; closes it elsewhere. */
export function setStage(route: Route): void {
  if (route.page !== 'play') {
    close();
  } else {
    if (current?.title !== route.title) {
      close();
      open(route.title);
      showStage(route.start || route.session !== undefined);
    }
    begin(route.start, route.session);
  }
}

function begin(start: boolean, session: string | undefined): void {
  const element = current?.element;
  if (start) element?.start();
  else if (session !== undefined) {
    // What waits elsewhere, or no more, leaves the visitor with the title's details.
    void element?.continue(session).then((goesOn) => showStage(goesOn || element.view.kind !== 'idle'));
  }
}

function open(title: string): void {
  const element = document.createElement('near-frame');
  element.setAttribute('title-id', title);
  current = { title, element };
  host().replaceChildren(element);
}

function close(): void {
  current?.element.leave();
  current = undefined;
  host().replaceChildren();
  showStage(false);
}

/** The player on the stage; absent off `/play/…`. */
export function player(): NearFrame | undefined {
  return current?.element;
}

/** Shows the stage over the page, or hides it without ending what runs on it. */
export function showStage(shown: boolean): void {
  host().hidden = !shown;
}

/** Whether the player has the keyboard. */
export function stageHasFocus(): boolean {
  return host().contains(document.activeElement);
}
