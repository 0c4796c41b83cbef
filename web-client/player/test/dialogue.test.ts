import { describe, expect, it, vi } from 'vitest';
import { Dialogue } from '../src/session/dialogue';
import type { ControlFromPage } from '../src/wire/control';

function dialogue(): { talk: Dialogue; said: ControlFromPage[]; heard: string[] } {
  const said: ControlFromPage[] = [];
  const heard: string[] = [];
  const nothing = vi.fn();
  const parts = [{}, {}, {}] as unknown as ConstructorParameters<typeof Dialogue>;
  const talk = new Dialogue(parts[0], parts[1], parts[2], {
    sendFacts: nothing,
    sendControl: (message) => said.push(message),
    onEnded: nothing,
    onRefused: nothing,
    onRumble: nothing,
    onSession: nothing,
    onBegins: (rtp_timestamp) => heard.push(`begins ${rtp_timestamp ?? 'at once'}`),
    onGreeted: () => heard.push('greeted'),
    onSigned: (sequence) => heard.push(`signed ${sequence}`),
    onWish: (wish) => heard.push(JSON.stringify(wish)),
  });
  return { talk, said, heard };
}

const offer = { min: 1, max: 1, features: [] as string[] };
const hello = (features: string[]): string =>
  JSON.stringify({ type: 'hello', versions: { control: { ...offer, features }, input: offer, facts: offer } });
const HELLO = hello(['challenge']);

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

describe('a node that hides its title at first', () => {
  it('says from which frame on it is seen; one that cannot hides nothing', () => {
    const { talk, heard } = dialogue();
    talk.control(HELLO, 0);
    expect(heard).toEqual([]);
    talk.control('{"type":"begins","rtp_timestamp":4294967295}', 1);
    talk.control('{"type":"begins","rtp_timestamp":-1}', 2);
    talk.control(hello([]), 3);
    expect(heard).toEqual(['begins 4294967295', 'begins at once']);
  });
});

describe('a node that listens', () => {
  it('is told about the player’s devices once for each connection', () => {
    const { talk, heard } = dialogue();
    talk.control(HELLO, 0);
    talk.greet(() => false, 10);
    talk.control(HELLO, 20);
    talk.control(HELLO, 30);
    expect(heard).toEqual(['greeted']);
    talk.greet(() => false, 40);
    talk.control(HELLO, 50);
    expect(heard).toEqual(['greeted', 'greeted']);
  });

  it('may ask for cursor, pointer lock, text and clipboard, and is ignored where it asks badly', () => {
    const { talk, heard } = dialogue();
    talk.control('{"type":"pointer_locked","locked":true}', 0);
    talk.control('{"type":"cursor","cursor":{"kind":"named","name":"text"}}', 0);
    talk.control('{"type":"cursor","cursor":{"kind":"hologram"}}', 0);
    talk.control('{"type":"text_input","active":"yes"}', 0);
    expect(heard).toEqual(['{"type":"pointer_locked","locked":true}', '{"type":"cursor","cursor":{"kind":"named","name":"text"}}']);
  });
});
