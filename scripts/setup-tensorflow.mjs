// Puts a current TensorFlow under @tensorflow/tfjs-node (or, with --gpu, @tensorflow/tfjs-node-gpu), in .tensorflow/.
//
// The npm packages download TensorFlow 2.9.1 at install. The C library inside the TensorFlow wheel on PyPI exports
// the same TF_* and TFE_* symbols, so their addon is compiled here against that one: 230 MB to download, 0.95 GB on
// disk, under a minute. Needs python3 with pip, and a C++ compiler. Nothing outside .tensorflow/ is changed.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const tfjsVersion = '4.22.0'
const tensorflowVersion = '2.18.1'
const pythonVersion = '3.11'

const gpu = process.argv.includes('--gpu')
const root = join(dirname(dirname(fileURLToPath(import.meta.url))), '.tensorflow')
const addonPackage = gpu ? 'tfjs-node-gpu' : 'tfjs-node'
const wheelName = gpu || process.arch !== 'x64' ? 'tensorflow' : 'tensorflow-cpu'
const home = join(root, 'node_modules/@tensorflow', addonPackage)
const addon = join(home, 'lib/napi-v8/tfjs_binding.node')

function fail(why, help) {
  console.error(`setup:tensorflow: ${why}\n  help: ${help}`)
  process.exit(1)
}

function run(what, command, args, options = {}) {
  console.error(`setup:tensorflow: ${what}`)
  const done = spawnSync(command, args, {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    ...options,
  })
  if (done.status === 0) return done.stdout
  const lines = `${done.stdout ?? ''}${done.stderr ?? done.error?.message ?? ''}`
    .trim()
    .split('\n')
    .slice(-12)
  fail(`${what} failed\n    ${lines.join('\n    ')}`, `run it again; what is done already is kept in ${root}`)
}

function firstOf(names, args) {
  return names.find((name) => spawnSync(name, args, { stdio: 'ignore' }).status === 0)
}

const python = firstOf(['python3', 'python'], ['-m', 'pip', '--version'])
if (python === undefined)
  fail('python3 with pip is needed to download the wheel', 'apt-get install python3-pip')
const compiler = firstOf([process.env.CXX, 'g++', 'clang++', 'c++'].filter(Boolean), ['--version'])
if (compiler === undefined) fail('a C++ compiler is needed to build the addon', 'apt-get install g++')

if (process.argv.includes('--force')) rmSync(home, { recursive: true, force: true })
if (existsSync(addon)) {
  console.log(
    `@tensorflow/${addonPackage} on TensorFlow ${tensorflowVersion} is in place already (--force builds it again)`,
  )
  process.exit(0)
}

mkdirSync(root, { recursive: true })
if (!existsSync(join(root, 'package.json')))
  writeFileSync(join(root, 'package.json'), '{ "private": true }\n')
run(`npm packages of @tensorflow/${addonPackage} ${tfjsVersion}`, 'npm', [
  'install',
  '--ignore-scripts',
  '--no-audit',
  '--no-fund',
  `@tensorflow/${addonPackage}@${tfjsVersion}`,
  'node-api-headers@1.9.0',
])

const wheels = join(root, 'wheels')
run(`${wheelName} ${tensorflowVersion} from PyPI (230 MB or more)`, python, [
  '-m', 'pip', 'download', '-q', '--no-deps', '--only-binary=:all:', '--python-version', pythonVersion,
  '-d', wheels, `${wheelName}==${tensorflowVersion}`,
]) // biome-ignore format: a command line reads best as one
const wheel = readdirSync(wheels).find((name) => name.endsWith('.whl'))

const unpack = `
import fnmatch, sys, zipfile
wheel, target = sys.argv[1:]
wanted = ['tensorflow/libtensorflow*.so.2', 'tensorflow/include/tensorflow/c/*', 'tensorflow/include/tensorflow/core/platform/ctstring*',
          'tensorflow/include/xla/tsl/c/*', 'tensorflow/include/tsl/platform/ctstring*', '*.dist-info/METADATA']
with zipfile.ZipFile(wheel) as archive:
    for name in archive.namelist():
        if any(fnmatch.fnmatch(name, pattern) for pattern in wanted):
            archive.extract(name, target)
`
const library = join(home, 'deps/tf')
mkdirSync(library, { recursive: true })
mkdirSync(dirname(addon), { recursive: true })
run('unpacking the library and its C headers', python, ['-c', unpack, join(wheels, wheel), library])
if (!existsSync(join(home, 'deps/lib'))) symlinkSync('tf/tensorflow', join(home, 'deps/lib'))

const sources = readdirSync(join(home, 'binding'))
  .filter((name) => name.endsWith('.cc'))
  .map((name) => join(home, 'binding', name))
run('compiling the addon', compiler, [
  '-std=c++17', '-O1', '-fPIC', '-shared', '-DNAPI_VERSION=8',
  `-I${join(root, 'node_modules/node-api-headers/include')}`, `-I${join(home, 'deps/lib/include')}`, `-I${dirname(home)}`,
  ...sources, '-o', addon, `-L${join(home, 'deps/lib')}`,
  '-l:libtensorflow_cc.so.2', '-l:libtensorflow_framework.so.2', '-Wl,-rpath,$ORIGIN/../../deps/lib',
]) // biome-ignore format: a command line reads best as one

if (gpu) {
  const info = readdirSync(library).find((name) => name.endsWith('.dist-info'))
  const metadata = readFileSync(join(library, info, 'METADATA'), 'utf8')
  const cuda = [
    ...metadata.matchAll(/^Requires-Dist: (nvidia-[\w-]+)\s*\(?==\s*([\d.]+)\)?;.*and-cuda/gm),
  ].map(([, name, version]) => `${name}==${version}`)
  if (cuda.length > 0)
    run(`the CUDA libraries that TensorFlow ${tensorflowVersion} pins`, python, [
      '-m', 'pip', 'install', '-q', '--no-deps', '--upgrade', '--target', join(root, 'cuda'), ...cuda,
    ]) // biome-ignore format: a command line reads best as one
  const folders = existsSync(join(root, 'cuda/nvidia'))
    ? readdirSync(join(root, 'cuda/nvidia'))
        .map((name) => join(root, 'cuda/nvidia', name, 'lib'))
        .filter(existsSync)
    : []
  console.log(`export LD_LIBRARY_PATH=${folders.join(':')}:$LD_LIBRARY_PATH`)
}
rmSync(wheels, { recursive: true, force: true })
console.log(`@tensorflow/${addonPackage} now runs on TensorFlow ${tensorflowVersion}: dinoc devices`)
