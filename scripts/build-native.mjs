// Compiles the native device (runtime/devices/native/src) into dist/runtime/devices/native/dinoc.node with the
// system's C++ compiler: kernels once for each instruction set, chosen when the addon is loaded. Without a compiler
// it says so in one line and succeeds.
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const warnings = ['-Wall', '-Wextra', '-Wno-maybe-uninitialized', '-Wno-uninitialized']
const common = ['-std=c++17', '-fPIC', '-fvisibility=hidden']
const optimized = ['-O3', '-fno-math-errno', '-fno-trapping-math', '-ffp-contract=fast']

const avx512 = ['-mavx512f', '-mavx512dq', '-mavx512vl', '-mavx512bw', '-mavx2', '-mfma']

/** Instruction sets of an architecture, best first: name and compiler flags. */
const instructionSets = {
  x64: [
    ['avx512bf16', [...avx512, '-mavx512bf16']],
    ['avx512', avx512],
    ['avx2', ['-mavx2', '-mfma']],
    ['portable', []],
  ],
}
export const setsOf = (arch) => instructionSets[arch] ?? [['portable', []]]

/** How a compiler is installed here. */
export const installLine =
  process.platform === 'darwin'
    ? 'xcode-select --install'
    : existsSync('/etc/debian_version')
      ? 'sudo apt-get install g++'
      : 'install g++ or clang++, or name a C++17 compiler in CXX'

/** The first C++ compiler that answers, or null. */
export function findCompiler() {
  const names = process.env.CXX ? [process.env.CXX] : ['g++', 'clang++', 'c++']
  for (const name of names) {
    const [command, ...args] = name.split(' ')
    const found = spawnSync(command, [...args, '--version'], { encoding: 'utf8' })
    if (found.status === 0) return { command, args, version: found.stdout.split('\n')[0] }
  }
  return null
}

const listed = (dir, ending) =>
  readdirSync(dir)
    .filter((name) => name.endsWith(ending))
    .sort()
    .map((name) => join(dir, name))

/** Every object of the library: source, flags, name. `extra` goes to all of them. */
export function unitsOf(root, extra = optimized) {
  const src = join(root, 'runtime/devices/native/src')
  const x86 = process.arch === 'x64' ? ['-DDINO_X86'] : []
  const core = [...listed(src, '.cc'), join(src, 'augment/scratch.cc')].map((file) => ({
    file,
    name: `${basename(file, '.cc')}.o`,
    flags: [...common, ...extra, ...x86],
  }))
  const checks = listed(join(src, 'checks'), '.cc').map((file) => ({
    file,
    name: `check-${basename(file, '.cc')}.o`,
    flags: [...common, ...extra],
  }))
  const kernels = setsOf(process.arch).flatMap(([isa, flags]) =>
    listed(join(src, 'kernels'), '.cc').map((file) => ({
      file,
      name: `${basename(file, '.cc')}-${isa}.o`,
      flags: [...common, ...extra, ...flags, `-DDINO_ISA=${isa}`],
    })),
  )
  // Rounded as the TypeScript of runtime/data rounds: no multiply-add in one. Bytes have no use for bf16.
  const plain = setsOf(process.arch).filter(([isa]) => isa !== 'avx512bf16')
  const augment = plain.flatMap(([isa, flags]) =>
    listed(join(src, 'augment'), '.cc')
      .filter((file) => basename(file) !== 'scratch.cc')
      .map((file) => ({
        file,
        name: `${basename(file, '.cc')}-${isa}.o`,
        flags: [...common, ...extra, ...flags, '-ffp-contract=off', `-DDINO_ISA=${isa}`],
      })),
  )
  // The largest first, so that two jobs end together.
  return [...kernels, ...augment, ...core, ...checks]
}

/** Contents of all headers of src (or test): part of the key of every object. */
export function headersOf(root, part = 'src') {
  const dir = join(root, 'runtime/devices/native', part)
  const files = [
    ...listed(dir, '.h'),
    ...(part === 'src'
      ? ['kernels', 'augment', 'checks', 'addon'].flatMap((folder) => listed(join(dir, folder), '.h'))
      : []),
  ]
  return files.map((file) => readFileSync(file, 'utf8')).join('\0')
}

/** Where objects wait for the next build: outside dist/, which is packed. */
export const cacheOf = (root, part) => join(root, 'node_modules/.cache/dinoc-native', part)

const hash = (...parts) => createHash('sha256').update(parts.join('\0')).digest('hex').slice(0, 20)

function execute(command, args) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] })
    let errors = ''
    child.stderr.on('data', (text) => {
      errors += text
    })
    child.on('error', (error) => resolve({ status: 1, errors: String(error) }))
    child.on('close', (status) => resolve({ status, errors }))
  })
}

/**
 * Compiles units into `objects`, two at a time, leaving out those whose sources, headers, flags and compiler are the
 * same as before. Returns the objects' paths; throws with the compiler's words.
 */
export async function compileUnits(compiler, units, objects, headers) {
  mkdirSync(objects, { recursive: true })
  const paths = units.map((unit) => {
    const key = hash(compiler.version, headers, unit.flags.join(' '), readFileSync(unit.file, 'utf8'))
    return join(objects, `${unit.name.replace(/\.o$/, '')}-${key}.o`)
  })
  const waiting = units.map((_, i) => i).filter((i) => !existsSync(paths[i]))
  const job = async () => {
    for (let i = waiting.shift(); i !== undefined; i = waiting.shift()) {
      const unit = units[i]
      const part = `${paths[i]}.${process.pid}`
      const done = await execute(compiler.command, [
        ...compiler.args,
        ...unit.flags,
        '-c',
        unit.file,
        '-o',
        part,
      ])
      if (done.status !== 0) throw new Error(`${basename(unit.file)} does not compile\n${done.errors}`)
      renameSync(part, paths[i])
    }
  }
  await Promise.all([job(), job()])
  return paths
}

export async function link(compiler, args, output) {
  const part = `${output}.${process.pid}`
  const done = await execute(compiler.command, [...compiler.args, ...args, '-pthread', '-o', part])
  if (done.status !== 0) throw new Error(`${basename(output)} does not link\n${done.errors}`)
  // Processes that have the old one loaded keep it.
  renameSync(part, output)
}

export async function buildNative({ root }) {
  const out = join(root, 'dist/runtime/devices/native')
  const addon = join(out, 'dinoc.node')
  const infoFile = join(out, 'build-info.json')
  mkdirSync(out, { recursive: true })
  const without = (why) => {
    rmSync(addon, { force: true })
    writeFileSync(infoFile, `${JSON.stringify({ built: false, why, install: installLine }, null, 2)}\n`)
    console.log(
      `native device not built: ${why}; the wasm device is used instead (${installLine}, then npm run build)`,
    )
    return false
  }

  const compiler = findCompiler()
  if (compiler === null)
    return without(
      process.env.CXX
        ? `the compiler that CXX names, ${process.env.CXX}, does not answer`
        : 'no C++ compiler (g++, clang++ or c++) was found',
    )
  if (process.platform === 'win32') return without('it is not built on Windows yet')
  const started = Date.now()
  const include = createRequire(import.meta.url)('node-api-headers').include_dir
  const units = unitsOf(root)
  for (const file of listed(join(root, 'runtime/devices/native/src/addon'), '.cc'))
    units.push({ file, name: `addon-${basename(file)}.o`, flags: [...common, '-O2', `-I${include}`] })
  const headers = headersOf(root)
  const key = hash(
    compiler.version,
    headers,
    ...units.flatMap((u) => [...u.flags, readFileSync(u.file, 'utf8')]),
  )
  if (existsSync(addon) && existsSync(infoFile) && JSON.parse(readFileSync(infoFile, 'utf8')).key === key)
    return true
  try {
    const objects = cacheOf(root, 'objects')
    const paths = await compileUnits(compiler, units, objects, headers)
    const shared =
      process.platform === 'darwin' ? ['-bundle', '-undefined', 'dynamic_lookup'] : ['-shared', '-Wl,-z,now']
    await link(compiler, [...shared, ...paths], addon)
    const kept = new Set(paths.map((p) => basename(p)))
    for (const name of readdirSync(objects))
      if (!kept.has(name) && name.endsWith('.o')) rmSync(join(objects, name), { force: true })
  } catch (error) {
    console.error(error.message)
    return without(`${compiler.version} failed`)
  }
  const seconds = (Date.now() - started) / 1000
  const info = {
    built: true,
    key,
    compiler: compiler.version,
    instructionSets: setsOf(process.arch).map(([name]) => name),
    seconds,
  }
  writeFileSync(infoFile, `${JSON.stringify(info, null, 2)}\n`)
  console.log(`native device built with ${compiler.version} in ${seconds.toFixed(1)} s`)
  return true
}

export { common, optimized, warnings }

if (process.argv[1] === fileURLToPath(import.meta.url))
  await buildNative({ root: fileURLToPath(new URL('..', import.meta.url)) })
