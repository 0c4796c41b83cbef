// Compiles the contracts into artifacts.json, byte for byte the same wherever it runs; `--check` compares instead.
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import solc from 'solc';

const SOURCES = ['Distributor.sol', 'TestToken.sol'];
const settings = {
  // Runs on chains that lack the instructions of later forks.
  evmVersion: 'paris',
  optimizer: { enabled: true, runs: 10_000 },
  // Without it, no path or name of the machine that compiles goes into the code.
  metadata: { appendCBOR: false, bytecodeHash: 'none' },
};

const here = (name) => new URL(name, import.meta.url);
const mapped = (entries, of) => Object.fromEntries(entries.map(([name, value]) => [name, of(value)]));
const text = SOURCES.map((name) => [name, readFileSync(here(name), 'utf8')]);
const input = {
  language: 'Solidity',
  sources: mapped(text, (content) => ({ content })),
  settings: { ...settings, outputSelection: { '*': { '*': ['abi', 'evm.bytecode.object'] } } },
};
const output = JSON.parse(solc.compile(JSON.stringify(input)));
const complaints = (output.errors ?? []).map((error) => error.formattedMessage);
if (complaints.length > 0) throw new Error(complaints.join('\n'));

const contracts = Object.values(output.contracts).flatMap((file) => Object.entries(file));
const artifacts = {
  compiler: solc.version(),
  settings,
  sources: mapped(text, (content) => createHash('sha256').update(content).digest('hex')),
  contracts: mapped(
    contracts.filter(([, contract]) => contract.evm.bytecode.object !== ''),
    ({ abi, evm }) => ({ abi, code: evm.bytecode.object }),
  ),
};
const file = here('artifacts.json');
const made = `${JSON.stringify(artifacts, undefined, 1)}\n`;
if (!process.argv.includes('--check')) {
  writeFileSync(file, made);
} else if (readFileSync(file, 'utf8') !== made) {
  throw new Error('artifacts.json is not what these sources compile to: run `npm run compile`');
}
