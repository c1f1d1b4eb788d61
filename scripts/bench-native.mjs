// The native kernels at the shapes of real steps, on one thread, beside the machine's multiply-add peak:
//   node scripts/bench-native.mjs [instruction set] [part of a name]
import { spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  cacheOf,
  common,
  compileUnits,
  findCompiler,
  headersOf,
  link,
  optimized,
  setsOf,
  unitsOf,
} from './build-native.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const compiler = findCompiler()
if (compiler === null) {
  console.error('the native benchmark needs a C++ compiler')
  process.exit(1)
}
const folder = join(root, 'runtime/devices/native/bench')
const flags = [...common, ...optimized, ...(process.arch === 'x64' ? ['-DDINO_X86'] : [])]
const units = [
  { file: join(folder, 'main.cc'), name: 'bench-main.o', flags },
  ...setsOf(process.arch).map(([isa, own]) => ({
    file: join(folder, 'peak.cc'),
    name: `bench-peak-${isa}.o`,
    flags: [...flags, ...own, `-DDINO_ISA=${isa}`],
  })),
]
const out = cacheOf(root, 'bench')
mkdirSync(out, { recursive: true })
const headers = headersOf(root)
const library = await compileUnits(compiler, unitsOf(root), cacheOf(root, 'objects'), headers)
const objects = await compileUnits(compiler, units, out, headers)
const binary = join(out, 'native-bench')
await link(compiler, [...objects, ...library], binary)
process.exit(spawnSync(binary, process.argv.slice(2), { stdio: 'inherit' }).status ?? 1)
