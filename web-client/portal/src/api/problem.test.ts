import { describe, expect, it } from 'vitest';
import { fromProblem, fromSilence } from './problem';

describe('a failed request', () => {
  it('says what the server said', () => {
    const body = {
      type: 'https://nearframe.dev/problems/no_capacity',
      title: 'Every seat is taken',
      status: 503,
      detail: 'Try again in a minute.',
      code: 'no_capacity',
    };
    expect(fromProblem(503, body)).toEqual({
      code: 'no_capacity',
      status: 503,
      title: 'Every seat is taken',
      advice: 'Try again in a minute.',
    });
  });

  it.each([undefined, null, '', '<html>502</html>', 42, {}, { title: '', detail: 7, code: null }])(
    'still tells what to do when the answer is %j',
    (body) => {
      const failure = fromProblem(502, body);
      expect(failure.code).toBe('unexpected');
      expect(failure.advice).toMatch(/Try again/);
    },
  );

  it.each([
    [401, 'forbidden'],
    [403, 'forbidden'],
    [404, 'not_found'],
    [429, 'too_many_requests'],
    [500, 'unexpected'],
  ])('is told apart by status %d', (status, code) => {
    expect(fromProblem(status, undefined).code).toBe(code);
  });

  it('never fills the page with a text without end', () => {
    expect(fromProblem(500, { detail: 'x'.repeat(10_000) }).advice).toHaveLength(400);
  });

  it('without an answer is the network or the server', () => {
    expect(fromSilence(false).code).toBe('offline');
    expect(fromSilence(true).code).toBe('unreachable');
  });
});
