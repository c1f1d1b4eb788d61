import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { packageRoot } from '../../diagnostics/package-root.js'

/**
 * Blocks of docs/tour.md that a command makes:
 *
 *     ```console from=/attn.qkv/ lines=4
 *     $ dinoc plan experiments/tour.dino --emit ir --after pack
 *     ```
 *
 * `from` begins at the first line that matches, `lines` are kept, `json` (`programs.0.steps`, with `at` of a list or
 * where `find` matches) picks from JSON, `cut` ends long lines there. What was left out shows as `...`.
 */
const block = /^```console([^\n]*)\n\$ dinoc ([^\n]*)\n[\s\S]*?^```$/gm

/** The tour with every block as the commands print it now. */
export async function currentTour(text: string): Promise<string> {
  const blocks = [...text.matchAll(block)]
  const commands = [...new Set(blocks.map((b) => b[2]!))]
  const outputs = new Map<string, string>()
  // Two at a time: they take seconds each.
  const queue = [...commands]
  const work = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift())
      outputs.set(next, await dinoc(next))
  }
  await Promise.all([work(), work()])
  return text.replace(
    block,
    (_, options: string, command: string) =>
      `\`\`\`console${options}\n$ dinoc ${command}\n${excerpt(outputs.get(command)!, options)}\n\`\`\``,
  )
}

function dinoc(command: string): Promise<string> {
  const root = packageRoot()
  const hooks = pathToFileURL(join(root, 'test/support/typescript-main.mjs')).href
  const args = ['--import', hooks, join(root, 'cli/main.ts'), ...command.split(' ')]
  const child = spawn(process.execPath, args, {
    cwd: root,
    env: { ...process.env, NO_COLOR: '1', COLUMNS: '100' },
  })
  let out = ''
  child.stdout.on('data', (part) => (out += part))
  child.stderr.on('data', (part) => (out += part))
  return new Promise((done, fail) => {
    child.on('error', fail)
    child.on('close', () => done(out.trimEnd()))
  })
}

function excerpt(output: string, options: string): string {
  const option = (name: string) => new RegExp(`\\b${name}=(\\S+)`).exec(options)?.[1]
  const json = option('json')
  const text = json === undefined ? output : picked(JSON.parse(output), json.split('.'))
  const all = text.split('\n')
  const pattern = option('from')?.slice(1, -1)
  const start = pattern === undefined ? 0 : all.findIndex((line) => new RegExp(pattern).test(line))
  if (start < 0) throw new Error(`nothing matches ${pattern} in the output for \`${options.trim()}\``)
  const end = Math.min(all.length, start + Number(option('lines') ?? all.length))
  const width = Number(option('cut') ?? Number.POSITIVE_INFINITY)
  const shown = all
    .slice(start, end)
    .map((line) => (line.length > width ? `${line.slice(0, width)}...` : line))
  return [...(start > 0 ? ['...'] : []), ...shown, ...(end < all.length ? ['...'] : [])].join('\n')
}

function picked(value: unknown, path: readonly string[]): string {
  const found = path.reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], value)
  if (found === undefined) throw new Error(`no ${path.join('.')}`)
  return Array.isArray(found) ? found.map((entry) => JSON.stringify(entry)).join('\n') : JSON.stringify(found)
}
