/**
 * What went wrong, in words for the visitor: RFC 9457 problems from the matchmaker, and what happens
 * when no answer comes at all. Every failure of a request becomes one `ApiFailure`.
 */

/** A request that did not succeed. */
export interface ApiFailure {
  /** Stable code of the matchmaker, or `offline`, `unreachable`, `unexpected`. */
  readonly code: string;
  /** HTTP status; 0 when there was no answer. */
  readonly status: number;
  /** One line: what happened. */
  readonly title: string;
  /** What the visitor can do. */
  readonly advice: string;
}

/** The outcome of a request: never an exception. */
export type Outcome<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly failure: ApiFailure };

/** Longest text taken from a server, so that a wrong one cannot fill the page. */
const MAX_TEXT = 400;

function text(value: unknown): string | undefined {
  if (typeof value !== 'string') return undefined;
  const trimmed = value.trim();
  return trimmed === '' ? undefined : trimmed.slice(0, MAX_TEXT);
}

/** Reads an error answer's body; anything that is no problem document falls back on the status. */
export function fromProblem(status: number, body: unknown): ApiFailure {
  const fields: Record<string, unknown> =
    typeof body === 'object' && body !== null ? { ...body } : {};
  const fallback = byStatus(status);
  return {
    code: text(fields['code']) ?? fallback.code,
    status,
    title: text(fields['title']) ?? fallback.title,
    advice: text(fields['detail']) ?? fallback.advice,
  };
}

function byStatus(status: number): Omit<ApiFailure, 'status'> {
  if (status === 401 || status === 403) {
    return {
      code: 'forbidden',
      title: 'This page is not yours to see',
      advice: 'Sign in with the link that the server printed, or go back to the catalogue.',
    };
  }
  if (status === 404) {
    return {
      code: 'not_found',
      title: 'There is nothing here',
      advice: 'It may have been removed. Go back to the catalogue.',
    };
  }
  if (status === 429) {
    return {
      code: 'too_many_requests',
      title: 'Too many requests',
      advice: 'Wait a few seconds and try again.',
    };
  }
  return {
    code: 'unexpected',
    title: 'The server could not answer',
    advice: 'Try again in a moment. If it happens again, tell whoever runs this server.',
  };
}

/** A request that got no answer. */
export function fromSilence(online: boolean): ApiFailure {
  return online
    ? {
        code: 'unreachable',
        status: 0,
        title: 'The server does not answer',
        advice: 'It may be restarting. Check that it runs, then try again.',
      }
    : {
        code: 'offline',
        status: 0,
        title: 'You are offline',
        advice: 'Connect to a network; the page goes on by itself.',
      };
}
