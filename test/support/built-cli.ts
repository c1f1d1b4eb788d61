import { join } from 'node:path'
import { build } from 'rolldown'

/**
 * Bundles the command line's sources (vitest brings the bundler; about a second) and returns the file to run with
 * `node`: many processes then start as fast as the built package, without a build that might be stale.
 */
export async function builtCli(): Promise<string> {
  const dir = join(process.cwd(), 'node_modules', '.cache', `dinoc-cli-${process.pid}`)
  await build({
    input: 'cli/main.ts',
    platform: 'node',
    external: (id) => !id.startsWith('.') && !id.startsWith('/'),
    output: { dir, format: 'esm' },
    logLevel: 'silent',
  })
  return join(dir, 'main.js')
}
