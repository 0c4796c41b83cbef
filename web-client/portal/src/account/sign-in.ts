/** What the account's page makes of a way back from a provider. Pure. */
import type { PasskeyOffer } from '../api/sign-in';

/** What became of a sign-in, for people. */
export interface Landing {
  readonly good: boolean;
  readonly title: string;
  readonly advice: string;
}

const AGAIN = 'Sign in again below.';
const LANDINGS: Readonly<Record<string, Landing>> = {
  linked: { good: true, title: 'Linked', advice: 'From now on you can sign in with it.' },
  expired: {
    good: false,
    title: 'This sign-in is over',
    advice: `It was used already, took more than ten minutes, or began in another browser or under another address of this server. ${AGAIN}`,
  },
  denied: { good: false, title: 'You did not agree', advice: `The provider signed nobody in, as you told it. ${AGAIN}` },
  provider_error: {
    good: false,
    title: 'The provider did not sign you in',
    advice: 'Try again; if it happens again, tell whoever runs this server what the provider’s page said.',
  },
  provider_down: {
    good: false,
    title: 'The provider does not answer',
    advice: 'Try again in a minute, or sign in another way: with a passkey, or a link from an owner of the account.',
  },
  bad_answer: {
    good: false,
    title: 'The provider’s answer proves nothing',
    advice: `Nobody was signed in. ${AGAIN} If it happens again, tell whoever runs this server.`,
  },
  no_account: {
    good: false,
    title: 'Nobody here knows you yet',
    advice:
      'Accounts are made by invitation: ask an owner of the studio or host that you belong to, or whoever runs this server, for a link, and open it here.',
  },
  link_used: {
    good: false,
    title: 'The invitation does not hold any more',
    advice: 'It was used already or is older than three days. Ask whoever gave it to you for a new one.',
  },
  already: {
    good: false,
    title: 'You are in this account already',
    advice: 'The invitation is for somebody new and stays good. Sign in below as who you are.',
  },
  full: {
    good: false,
    title: 'There is no room',
    advice: 'The account has 200 members, or you have 20 identities linked. Take one out and try again; the invitation stays good.',
  },
  not_signed_in: {
    good: false,
    title: 'Nothing was linked',
    advice: 'You have to be signed in, as the same member, when you come back from the provider. Sign in and link it again.',
  },
  too_many: { good: false, title: 'Too many sign-ins', advice: 'Wait a minute, then sign in again.' },
  unavailable: { good: false, title: 'The server could not sign you in', advice: 'Try again in a moment.' },
};

/** What the address says became of a sign-in; nothing for any other address. */
export function landing(hash: string): Landing | undefined {
  const word = /^#sign-in=([a-z_]{1,20})$/.exec(hash)?.[1];
  return word !== undefined && Object.hasOwn(LANDINGS, word) ? LANDINGS[word] : undefined;
}

/** Whether the address asks to choose as whom to sign in. */
export function isChoice(hash: string): boolean {
  return hash === '#choose';
}

/** Why passkeys cannot be used on this page; nothing where they can. */
export function whyNoPasskeys(offer: PasskeyOffer, host: string, isAble: boolean): string | undefined {
  if (!offer.offered) return offer.why_not ?? 'This server does not offer passkeys.';
  if (typeof offer.host === 'string' && host !== offer.host && !host.endsWith(`.${offer.host}`)) {
    return `Passkeys belong to ${offer.host}, and this page is open under ${host}: open it there.`;
  }
  return isAble ? undefined : 'This browser does not know passkeys, or not on a page without HTTPS.';
}
