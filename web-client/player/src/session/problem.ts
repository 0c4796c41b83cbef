/** What went wrong, in words that tell the player what to do. */

export interface Problem {
  /** Stable code, such as `no_capacity`. */
  readonly code: string;
  readonly title: string;
  /** What to do. */
  readonly detail: string;
}

export const UNREACHABLE: Problem = {
  code: 'unreachable',
  title: 'The server cannot be reached',
  detail: 'Check your network connection, then try again.',
};

export const NO_PICTURE: Problem = {
  code: 'no_picture',
  title: 'No picture arrived',
  detail: 'The machine was found, but no connection to it came about. A firewall or VPN may block it: try another network, then try again.',
};

export const CONNECTION_LOST: Problem = {
  code: 'connection_lost',
  title: 'The connection was lost',
  detail: 'It did not come back within 30 seconds. Check your network, then try again.',
};

export const UNSUPPORTED: Problem = {
  code: 'unsupported_browser',
  title: 'This browser cannot play',
  detail: 'It has no WebRTC, or the page was not opened over HTTPS. Use a current Chrome, Edge, Firefox or Safari.',
};

export function untrusted(why: string): Problem {
  return {
    code: 'untrusted_machine',
    title: 'The machine could not prove who it is',
    detail: `Nothing was connected: ${why}. Try again; if it happens again, tell the operator of this site.`,
  };
}
