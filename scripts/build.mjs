// Compiles TypeScript to dist/, copies what is read at run time, and builds the native device where there is a C++ compiler.
import { spawnSync } from 'node:child_process'
import { chmodSync, cpSync, existsSync, readdirSync, statSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const tsc = spawnSync(
  process.execPath,
  [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.build.json'],
  {
    cwd: root,
    stdio: 'inherit',
  },
)
if (tsc.status !== 0) process.exit(tsc.status ?? 1)

const copied = /\.(hbs|css|json)$/
function copy(dir) {
  for (const name of readdirSync(dir)) {
    const path = join(dir, name)
    if (statSync(path).isDirectory()) copy(path)
    else if (copied.test(name)) cpSync(path, join(root, 'dist', relative(root, path)))
  }
}
for (const dir of ['diagnostics', 'grammar', 'compiler', 'runtime', 'cli'])
  if (existsSync(join(root, dir))) copy(join(root, dir))

const main = join(root, 'dist/cli/main.js')
if (existsSync(main)) chmodSync(main, 0o755)

const native = join(root, 'scripts/build-native.mjs')
if (existsSync(native)) {
  const { buildNative } = await import('./build-native.mjs')
  await buildNative({ root })
}
