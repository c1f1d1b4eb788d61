// The native library's own tests, without Node around them and under sanitizers:
//   node scripts/test-native.mjs [address] [thread] [none]        (default: all three)
// Records every kernel's cases from the oracle, builds runtime/devices/native/test with each sanitizer, runs it.
import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { createRequire, register } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  buildNative,
  cacheOf,
  common,
  compileUnits,
  findCompiler,
  headersOf,
  link,
  optimized,
  unitsOf,
  warnings,
} from './build-native.mjs'

const sanitizers = {
  address: [
    '-O1',
    '-g',
    '-fno-omit-frame-pointer',
    '-fsanitize=address,undefined',
    '-fno-sanitize-recover=all',
  ],
  thread: ['-O1', '-g', '-fsanitize=thread'],
  none: [],
}

const root = fileURLToPath(new URL('..', import.meta.url))
const wanted = process.argv.slice(2)
for (const name of wanted)
  if (!Object.hasOwn(sanitizers, name)) {
    console.error(`unknown sanitizer \`${name}\`, expected one of ${Object.keys(sanitizers).join(', ')}`)
    process.exit(2)
  }
const compiler = findCompiler()
if (compiler === null || !(await buildNative({ root }))) {
  console.error('the native tests need a C++ compiler')
  process.exit(1)
}

register('../test/support/typescript-hooks.mjs', import.meta.url)
const { recordTrials } = await import('../test/devices/native-record.ts')
const addon = createRequire(import.meta.url)(join(root, 'dist/runtime/devices/native/dinoc.node'))
const out = cacheOf(root, 'test')
mkdirSync(out, { recursive: true })
const cases = join(out, 'cases.bin')
writeFileSync(cases, new Uint8Array(recordTrials(addon).buffer))

/**
 * Functions that objects of several instruction sets would share, and the linker then take from any of them: code for
 * one machine would run on another. Null where there is no `nm` to ask.
 */
function sharedSymbols(objects) {
  const kernels = objects.filter((path) => /-(avx512bf16|avx512|avx2|portable)-[0-9a-f]+\.o$/.test(path))
  const listed = spawnSync('nm', ['-C', ...kernels], { encoding: 'utf8', maxBuffer: 1 << 26 })
  if (listed.status !== 0) return null
  const weak = listed.stdout.split('\n').filter((line) => / [WV] /.test(line))
  return weak.filter((line) => !/ dino::(avx512bf16|avx512|avx2|portable)::/.test(line))
}

let passed = 0
let failed = 0
for (const name of wanted.length > 0 ? wanted : ['none', 'address', 'thread']) {
  const flags = sanitizers[name]
  const extra =
    name === 'none'
      ? optimized
      : [...flags, '-fno-math-errno', '-fno-trapping-math', '-ffp-contract=fast', '-DDINO_SANITIZED']
  const tests = join(root, 'runtime/devices/native/test')
  const units = unitsOf(root, [...extra, ...warnings])
  for (const file of readdirSync(tests).filter((f) => f.endsWith('.cc')))
    units.push({ file: join(tests, file), name: `test-${file}.o`, flags: [...common, ...extra, ...warnings] })
  const started = Date.now()
  try {
    const binary = join(out, `native-test-${name}`)
    const objects = await compileUnits(
      compiler,
      units,
      join(out, name),
      `${headersOf(root)}${headersOf(root, 'test')}`,
    )
    await link(compiler, [...flags, ...objects], binary)
    const shared = name === 'none' ? sharedSymbols(objects) : null
    if (shared && shared.length > 0) throw new Error(`kernels share symbols:\n${shared.join('\n')}`)
    const built = Date.now()
    const run = spawnSync(binary, [cases], {
      stdio: 'inherit',
      env: { ...process.env, ASAN_OPTIONS: 'allocator_may_return_null=1' },
    })
    const seconds = (from, to) => ((to - from) / 1000).toFixed(1)
    console.log(
      `${name}: ${run.status === 0 ? 'clean' : 'FAILED'} (built in ${seconds(started, built)} s, ran in ${seconds(built, Date.now())} s)`,
    )
    if (run.status === 0) passed++
    else failed++
  } catch (error) {
    console.error(error.message)
    failed++
  }
}
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed > 0 ? 1 : 0)
