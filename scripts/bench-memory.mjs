#!/usr/bin/env node
// Peak of memory of whole processes beside what `dinoc plan` says: `node scripts/bench-memory.mjs` after a build.
// Each is to be within a tenth of the plan's figure plus what every process takes (docs/runs.md).
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const processBytes = 128 * 2 ** 20
const tolerance = 0.1

const main = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url))
const file = fileURLToPath(new URL('../bench/memory.dino', import.meta.url))

function dinoc(...args) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args, '--json'], {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  })
  if (status !== 0) throw new Error(`dinoc ${args.join(' ')} ended with ${status}:\n${stderr}`)
  return JSON.parse(stdout)
}

const mega = (bytes) => `${(bytes / 1e6).toFixed(0).padStart(6)} MB`
let wrong = 0
for (const { name, variants } of dinoc('plan', file).experiments) {
  const planned = variants[0].phases[0].perRank.peakBytes
  const { peakRssBytes } = dinoc('bench', `${file}#${name}`, '--threads', '2', '--steps', '2')
  const off = peakRssBytes / (planned + processBytes) - 1
  if (Math.abs(off) > tolerance) wrong++
  const share = `${off < 0 ? '' : '+'}${(100 * off).toFixed(1)} %`
  process.stdout.write(
    `${name.padEnd(12)} plan ${mega(planned)}   process ${mega(peakRssBytes)}   over plan and 128 MiB ${share}\n`,
  )
}
process.exitCode = wrong === 0 ? 0 : 1
