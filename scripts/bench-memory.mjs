#!/usr/bin/env node
// Peak of memory of whole processes beside what `dinoc plan` says: `node scripts/bench-memory.mjs` after a build.
// Each is to be within a tenth of the plan's figure plus what every such process takes (docs/runs.md).
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const MiB = 2 ** 20
const tolerance = 0.1

const root = fileURLToPath(new URL('..', import.meta.url))
const main = join(root, 'dist/cli/main.js')
const file = 'bench/memory.dino'

function dinoc(...args) {
  const options = { cwd: root, encoding: 'utf8', maxBuffer: 1 << 28 }
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], options)
  if (status !== 0) throw new Error(`dinoc ${args.join(' ')} ended with ${status}:\n${stderr}`)
  return stdout
}

function peakOfStep(entry) {
  return JSON.parse(dinoc('bench', entry, '--threads', '2', '--steps', '2', '--json')).peakRssBytes
}

function peakOfRun(entry) {
  const runs = mkdtempSync(join(tmpdir(), 'dinoc-memory-'))
  try {
    dinoc('run', entry, '--threads', '2', '--loaders', '1', '--runs', runs)
    const record = readdirSync(runs, { recursive: true }).find((path) => path.endsWith('run.json'))
    return JSON.parse(readFileSync(join(runs, record), 'utf8')).peakRssBytes
  } finally {
    rmSync(runs, { recursive: true, force: true })
  }
}

/** `bytes`: what a process takes beside its plan; a run has a loader thread, batches ahead, and evaluates. */
const processes = [
  { name: 'bench', bytes: 128 * MiB, peakOf: peakOfStep },
  { name: 'run', bytes: 224 * MiB, peakOf: peakOfRun },
]

const mega = (bytes) => `${(bytes / 1e6).toFixed(0).padStart(6)} MB`
let wrong = 0
for (const { name, variants } of JSON.parse(dinoc('plan', file, '--json')).experiments) {
  const planned = variants[0].phases[0].perRank.peakBytes
  for (const { name: what, bytes, peakOf } of processes) {
    const peak = peakOf(`${file}#${name}`)
    const off = peak / (planned + bytes) - 1
    if (Math.abs(off) > tolerance) wrong++
    const share = `${off < 0 ? '' : '+'}${(100 * off).toFixed(1)} %`
    process.stdout.write(
      `${name.padEnd(12)} plan ${mega(planned)}   ${what.padEnd(5)} ${mega(peak)}   over plan and ${bytes / MiB} MiB ${share}\n`,
    )
  }
}
process.exitCode = wrong === 0 ? 0 : 1
