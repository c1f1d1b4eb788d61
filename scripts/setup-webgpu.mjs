// Puts Dawn (npm `webgpu`) and the tfjs WebGPU backend in .webgpu/, apart from the project's own node_modules.
import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const folder = join(dirname(dirname(fileURLToPath(import.meta.url))), '.webgpu')
const packages = [
  'webgpu@0.6.2',
  '@tensorflow/tfjs-core@4.22.0',
  '@tensorflow/tfjs-backend-cpu@4.22.0',
  '@tensorflow/tfjs-backend-webgpu@4.22.0',
]
mkdirSync(folder, { recursive: true })
writeFileSync(join(folder, 'package.json'), '{ "private": true }\n')
const done = spawnSync('npm', ['install', '--no-audit', '--no-fund', ...packages], {
  cwd: folder,
  stdio: ['ignore', 'ignore', 'inherit'],
})
if (done.status !== 0) {
  console.error(
    'setup:webgpu: npm could not install the packages\n  help: run it again when the npm registry answers',
  )
  process.exit(1)
}
console.log('device webgpu: its packages are in place: dinoc devices')
