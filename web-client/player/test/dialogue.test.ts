import { describe, expect, it, vi } from 'vitest';
import { Dialogue } from '../src/session/dialogue';
import type { ControlFromPage } from '../src/wire/control';

function dialogue(): { talk: Dialogue; said: ControlFromPage[] } {
  const said: ControlFromPage[] = [];
  const nothing = vi.fn();
  const parts = [{}, {}, {}] as unknown as ConstructorParameters<typeof Dialogue>;
  const talk = new Dialogue(parts[0], parts[1], parts[2], {
    sendFacts: nothing,
    sendControl: (message) => said.push(message),
    onEnded: nothing,
    onRefused: nothing,
    onRumble: nothing,
  });
  return { talk, said };
}

const offer = { min: 1, max: 1, features: [] };
const HELLO = JSON.stringify({ type: 'hello', versions: { control: offer, input: offer, facts: offer } });

describe('greeting a node', () => {
  it('is repeated until the node answers', () => {
    const { talk, said } = dialogue();
    talk.tick(0);
    expect(said).toHaveLength(0);
    talk.greet(() => false, 0);
    for (let now = 0; now <= 600; now += 50) talk.tick(now);
    expect(said.map((message) => message.type)).toEqual(['hello', 'hello', 'hello']);
    talk.control(HELLO, 610);
    for (let now = 650; now <= 5000; now += 50) talk.tick(now);
    expect(said).toHaveLength(3);
  });

  it('stops after ten seconds with a node that never answers, and tells each time whether the page is hidden', () => {
    const { talk, said } = dialogue();
    let hidden = true;
    talk.greet(() => hidden, 0);
    hidden = false;
    for (let now = 0; now <= 60_000; now += 50) talk.tick(now);
    expect(said.filter((message) => message.type === 'hidden')).toHaveLength(1);
    expect(said.filter((message) => message.type === 'hello')).toHaveLength(40);
  });
});
