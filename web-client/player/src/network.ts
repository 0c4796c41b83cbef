/** What kind of network the browser says it is on. Many browsers do not say, and none is asked. */

import type { Scope } from './scope';

export type NetworkKind = 'cable' | 'wifi' | 'mobile' | 'unknown';

const KINDS: Readonly<Record<string, NetworkKind>> = { ethernet: 'cable', wifi: 'wifi', cellular: 'mobile' };

interface NetworkInformation extends EventTarget {
  readonly type?: string;
}

function connection(): NetworkInformation | undefined {
  return (navigator as { readonly connection?: NetworkInformation }).connection;
}

export function networkKind(): NetworkKind {
  return KINDS[connection()?.type ?? ''] ?? 'unknown';
}

/** Whether this browser tells kinds of networks apart at all. */
export function tellsNetworks(): boolean {
  return connection()?.type !== undefined;
}

export function watchNetwork(scope: Scope, changed: () => void): void {
  const target = connection();
  if (target?.addEventListener !== undefined) scope.listen(target, 'change', changed);
}
