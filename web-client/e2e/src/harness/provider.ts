/** A provider of identities of other people's making (npm's `oidc-provider`), and a matchmaker that trusts it. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Provider from 'oidc-provider';
import type { Page } from 'playwright-core';
import { ask, field } from './api.js';
import { Program } from './program.js';

const CLIENT = 'nearframe';
const SECRET = 'a-secret-of-the-harness-alone';

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

/** A port that nobody has at this moment. */
async function freePort(): Promise<number> {
  const server = createServer();
  const port = await listening(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A matchmaker under a name of its own, which people can sign in at through the provider. */
export class House {
  #cookie: string | undefined;

  private constructor(
    readonly program: Program,
    /** Under its name. */
    readonly base: string,
    /** The same by its address. */
    readonly address: string,
    readonly issuer: string,
    private readonly operator: string,
    private readonly server: Server,
    private readonly folder: string,
  ) {}

  static async start(): Promise<House> {
    const port = await freePort();
    const [base, address] = [`http://localhost:${port}`, `http://127.0.0.1:${port}`];
    const server = createServer();
    const issuer = `http://127.0.0.1:${await listening(server)}`;
    const provider = new Provider(issuer, {
      clients: [{
        client_id: CLIENT,
        client_secret: SECRET,
        redirect_uris: [`${base}/v1/sign-in/oidc/acme/callback`],
        grant_types: ['authorization_code'],
        response_types: ['code'],
      }],
      claims: { openid: ['sub'], profile: ['name'] },
      conformIdTokenClaims: false,
      cookies: { keys: ['of the harness'] },
      findAccount: (_: unknown, id: string) => ({ accountId: id, claims: () => ({ sub: id, name: `${id} of Acme` }) }),
      pkce: { required: () => true },
      ttl: { AccessToken: 60, AuthorizationCode: 60, Grant: 600, IdToken: 60, Interaction: 600, Session: 600 },
    });
    server.on('request', provider.callback());
    const folder = mkdtempSync(join(tmpdir(), 'nearframe-oidc-'));
    writeFileSync(join(folder, 'acme.secret'), `${SECRET}\n`);
    const words = [`label = "Acme"`, `issuer = "${issuer}"`, `client_id = "${CLIENT}"`, 'client_secret_file = "acme.secret"', 'scopes = ["profile"]'];
    writeFileSync(join(folder, 'acme.toml'), `${words.join('\n')}\n`);
    const program = Program.start('matchmaker', '--listen', `127.0.0.1:${port}`, '--public-url', base, '--oidc-providers', join(folder, 'acme.toml'));
    const operator = await program.line(/^operator (\S+)$/);
    return new House(program, base, address, issuer, operator, server, folder);
  }

  /** From the operator's doors. */
  async #asOperator(path: string, body: unknown): Promise<unknown> {
    if (this.#cookie === undefined) {
      const link = new URL(this.operator);
      const entered = await fetch(new URL(link.pathname + link.search, this.address), { redirect: 'manual' });
      this.#cookie = entered.headers.getSetCookie().map((line) => line.split(';')[0]).join('; ');
    }
    const headers = { cookie: this.#cookie, 'content-type': 'application/json' };
    return (await ask(this.address, path, { method: 'POST', headers, body: JSON.stringify(body) })).body;
  }

  /** A new account, and what invites its owner. */
  async invitation(kind: string, name: string): Promise<{ account: string; link: string }> {
    const account = String(field(await this.#asOperator('/v1/accounts', { kind, name }), 'id'));
    return { account, link: await this.another(account) };
  }

  /** What invites another owner. */
  async another(account: string): Promise<string> {
    return String(field(await this.#asOperator(`/v1/accounts/${account}/invitations`, { role: 'owner' }), 'url'));
  }

  discard(): void {
    this.program.discard();
    this.server.close();
    this.server.closeAllConnections();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Keeps a browser on this machine: the provider's pages ask for a font elsewhere. */
export async function stayHere(page: Page): Promise<void> {
  await page.route((url) => !['localhost', '127.0.0.1'].includes(url.hostname), (route) => route.abort());
}

/** Signs in on the provider's own pages, and agrees. */
export async function agree(page: Page, login: string): Promise<void> {
  await page.locator('input[name=login]').fill(login);
  await page.locator('input[name=password]').fill('any');
  await page.locator('button[type=submit]').click();
  await page.getByRole('button', { name: /continue/i }).click();
}
