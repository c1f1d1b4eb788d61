import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { builtCli } from '../support/built-cli.js'

/** The command line as a process: what it prints where, and its exit status. */
let main = ''
let folder = ''

beforeAll(async () => {
  main = await builtCli()
  folder = mkdtempSync(join(tmpdir(), 'dinoc-cli-'))
})
afterAll(() => {
  for (const path of [folder, dirname(main)]) rmSync(path, { recursive: true, force: true })
})

function dinoc(args: readonly string[], input = '', env: Record<string, string> = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], {
    cwd: folder,
    input,
    encoding: 'utf8',
    env: { PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '', ...env },
  })
  return { status, stdout, stderr }
}

function file(name: string, text: string): string {
  writeFileSync(join(folder, name), text)
  return name
}

const good =
  'import { vit_nano } from "std/dinov2.dino"\n\nexperiment small extends vit_nano {\n  schedule.batch = 32 img\n}\n'
const bad = good.replace('32 img', '')
const lax = good.replace('  schedule.batch = 32 img', 'schedule.batch=32img')

describe('usage', () => {
  test('help goes to standard output', () => {
    const { status, stdout, stderr } = dinoc(['--help'])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toContain('check')
    expect(dinoc(['help', 'check']).stdout).toContain('--deny-warnings')
  })

  test('a report takes a file as well as a directory', () => {
    file('reported.dino', good)
    for (const [args, said] of [
      [['reported.dino'], '`runs/small` holds no runs'],
      [['reported.dino#large'], 'reported.dino has no `large`'],
      [['gone.dino'], 'gone.dino'],
      [['runs/nothing'], '`runs/nothing` holds no runs'],
      [['runs/nothing', '--set', 'schedule.batch=8 img'], '--set and --param are of a file'],
    ] as const) {
      const { status, stdout, stderr } = dinoc(['report', ...args])
      expect([status, stdout]).toEqual([2, ''])
      expect(stderr).toContain(said)
    }
  })

  test('a folder in the place of a file is called one', () => {
    mkdirSync(join(folder, 'imgs'))
    const { status, stderr } = dinoc(['plan', 'imgs'])
    expect(status).toBe(2)
    expect(stderr).toContain('error[DINO0220]: cannot read imgs: it is a folder')
    expect(stderr).toContain('dinoc init --images imgs')
    expect(dinoc(['plan', 'gone.dino']).stderr).toContain('cannot read gone.dino: there is no such file')
  })

  test('without a command there is nothing to do', () => {
    const { status, stdout, stderr } = dinoc([])
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(stderr).toContain('Usage: dinoc')
  })

  test('unknown commands and options get the nearest one', () => {
    expect(dinoc(['chek', 'a.dino'])).toEqual({
      status: 2,
      stdout: '',
      stderr: 'error: unknown command `chek`\n  = help: did you mean check?\n',
    })
    expect(dinoc(['check', '--deny-warning', 'a.dino'])).toEqual({
      status: 2,
      stdout: '',
      stderr: 'error: unknown option `--deny-warning`\n  = help: did you mean --deny-warnings?\n',
    })
    expect(dinoc(['check', '--format', 'jsn', 'a.dino']).status).toBe(2)
    expect(dinoc(['check']).status).toBe(2)
    expect(dinoc(['check', '--set', 'x', file('a.dino', good)])).toMatchObject({ status: 2, stdout: '' })
  })
})

describe('check', () => {
  test('a file without faults', () => {
    expect(dinoc(['check', file('good.dino', good)])).toEqual({
      status: 0,
      stdout: 'good.dino: no faults\n',
      stderr: '',
    })
    expect(dinoc(['check', '--json', 'good.dino'])).toEqual({ status: 0, stdout: '', stderr: '' })
  })

  test('diagnostics are the result', () => {
    const { status, stdout, stderr } = dinoc(['check', file('bad.dino', bad)])
    expect({ status, stderr }).toEqual({ status: 1, stderr: '' })
    expect(stdout).toMatch(/^error\[DINO0103\]: expected a value after `=`/)
    expect(stdout).toMatch(/\n1 error\n$/)
  })

  test('in every format', () => {
    file('bad.dino', bad)
    expect(dinoc(['check', '--format', 'short', 'bad.dino']).stdout).toMatch(
      /^bad\.dino:4:\d+: error\[DINO0103\]: .*\n$/,
    )
    const lines = dinoc(['check', '--json', 'bad.dino']).stdout.trimEnd().split('\n')
    expect(lines.map((line) => JSON.parse(line).code)).toEqual(['DINO0103'])
    expect(dinoc(['check', '--format', 'json', 'bad.dino']).stdout.trimEnd().split('\n')).toEqual(lines)
    const log = JSON.parse(dinoc(['check', '--format', 'sarif', 'bad.dino']).stdout)
    expect(log.runs[0].results[0].ruleId).toBe('DINO0103')
  })

  test('reads standard input', () => {
    const { status, stdout } = dinoc(['check', '-'], bad)
    expect(status).toBe(1)
    expect(stdout).toContain('standard input:4:')
    expect(stdout).toContain('4 |   schedule.batch =')
  })

  test('warnings count only when denied', () => {
    const warned = 'param root: path = env("DINO_TEST_UNSET")\nsource a: folder { path = "${root}" }\n'
    file('warned.dino', warned)
    expect(dinoc(['check', 'warned.dino']).status).toBe(0)
    expect(dinoc(['check', '--deny-warnings', 'warned.dino']).status).toBe(1)
    expect(dinoc(['check', '--deny-warnings', 'warned.dino'], '', { DINO_TEST_UNSET: 'x' }).status).toBe(0)
    expect(dinoc(['check', '--deny-warnings', '--param', 'root=x', 'warned.dino']).status).toBe(0)
  })

  test('colours only where they are wanted', () => {
    file('bad.dino', bad)
    const introducer = String.fromCharCode(27)
    expect(dinoc(['check', 'bad.dino']).stdout).not.toContain(introducer)
    expect(dinoc(['check', 'bad.dino'], '', { FORCE_COLOR: '1' }).stdout).toContain(introducer)
    expect(dinoc(['check', 'bad.dino'], '', { FORCE_COLOR: '1', NO_COLOR: '1' }).stdout).not.toContain(
      introducer,
    )
  })
})

describe('fmt', () => {
  test('lays out files, atomically and with their mode, and says so', () => {
    const name = file('lax.dino', lax)
    chmodSync(join(folder, name), 0o640)
    expect(dinoc(['fmt', name])).toEqual({ status: 0, stdout: '', stderr: 'laid out lax.dino\n' })
    expect(readFileSync(join(folder, name), 'utf8')).toBe(good)
    expect(statSync(join(folder, name)).mode & 0o777).toBe(0o640)
    expect(dinoc(['fmt', name])).toEqual({ status: 0, stdout: '', stderr: '' })
    expect(readdirSync(folder).filter((entry) => entry.endsWith('.tmp'))).toEqual([])
  })

  test('follows links', () => {
    file('target.dino', lax)
    symlinkSync('target.dino', join(folder, 'link.dino'))
    expect(dinoc(['fmt', 'link.dino']).status).toBe(0)
    expect(readFileSync(join(folder, 'target.dino'), 'utf8')).toBe(good)
  })

  test('--check changes nothing and lists what would change', () => {
    file('lax.dino', lax)
    file('good.dino', good)
    expect(dinoc(['fmt', '--check', 'lax.dino', 'good.dino'])).toEqual({
      status: 1,
      stdout: 'lax.dino\n',
      stderr: '',
    })
    expect(readFileSync(join(folder, 'lax.dino'), 'utf8')).toBe(lax)
    expect(dinoc(['fmt', '--check', 'good.dino']).status).toBe(0)
    expect(JSON.parse(dinoc(['fmt', '--check', '--json', 'lax.dino', 'good.dino']).stdout)).toEqual({
      formatVersion: 1,
      files: [
        { file: 'lax.dino', changed: true },
        { file: 'good.dino', changed: false },
      ],
    })
  })

  test('- goes from standard input to standard output', () => {
    expect(dinoc(['fmt', '-'], lax)).toEqual({ status: 0, stdout: good, stderr: '' })
    expect(dinoc(['fmt', '--check', '-'], lax).status).toBe(1)
  })

  test('leaves files with faults as they are, and does the others', () => {
    file('bad.dino', bad)
    file('lax.dino', lax)
    const { status, stderr } = dinoc(['fmt', 'bad.dino', 'lax.dino'])
    expect(status).toBe(2)
    expect(stderr).toContain('DINO0103')
    expect(readFileSync(join(folder, 'bad.dino'), 'utf8')).toBe(bad)
    expect(readFileSync(join(folder, 'lax.dino'), 'utf8')).toBe(good)
  })

  test('refuses what cannot be read', () => {
    expect(dinoc(['fmt', 'none.dino'])).toMatchObject({
      status: 2,
      stderr: 'error: cannot read none.dino: there is no such file\n',
    })
    writeFileSync(join(folder, 'bytes.dino'), new Uint8Array([0x2f, 0x2f, 0xff, 0xfe]))
    expect(dinoc(['fmt', 'bytes.dino']).stderr).toContain('not UTF-8')
    expect(readFileSync(join(folder, 'bytes.dino'))).toEqual(Buffer.from([0x2f, 0x2f, 0xff, 0xfe]))
  })
})

describe('explain', () => {
  test('prints the page of a code, however it is written', () => {
    const { status, stdout } = dinoc(['explain', 'DINO0103'])
    expect(status).toBe(0)
    expect(stdout).toMatch(/^DINO0103: missing value\n/)
    expect(stdout).not.toContain('```')
    expect(dinoc(['explain', '103']).stdout).toBe(stdout)
    expect(dinoc(['explain', 'dino0103']).stdout).toBe(stdout)
    expect(JSON.parse(dinoc(['explain', '103', '--json']).stdout)).toMatchObject({
      code: 'DINO0103',
      severity: 'error',
    })
  })

  test('lists every code', () => {
    expect(dinoc(['explain']).stdout).toMatch(/^DINO0001 {2}error {4}stray character$/m)
  })

  test('knows no others', () => {
    const { status, stderr } = dinoc(['explain', 'DINO0198'])
    expect(status).toBe(2)
    expect(stderr).toMatch(/there is no diagnostic `DINO0198`\n {2}= help: did you mean/)
  })

  test('fits in 100 columns, and leaves inline code in one piece', () => {
    const { stdout } = dinoc(['explain', 'DINO0801'])
    expect(stdout.split('\n').filter((line) => line.length > 100)).toEqual([])
    const prose = stdout.slice(0, stdout.indexOf('\n\nGives it')).split('\n').slice(2)
    expect(prose.length).toBeGreaterThan(1)
    for (const line of prose) expect(line.split('`').length % 2).toBe(1)
  })
})

describe('completion', () => {
  test('knows every command and option', () => {
    for (const shell of ['bash', 'zsh', 'fish']) {
      const { status, stdout } = dinoc(['completion', shell])
      expect(status).toBe(0)
      for (const word of ['check', 'fmt', 'explain', 'deny-warnings']) expect(stdout).toContain(word)
    }
    expect(dinoc(['completion', 'tcsh']).status).toBe(2)
  })

  test('is a script that bash runs', () => {
    const script = dinoc(['completion', 'bash']).stdout
    const complete = (words: string) =>
      spawnSync(
        'bash',
        [
          '-c',
          `dinoc() { "${process.execPath}" "${main}" "$@"; }\n${script}\nCOMP_WORDS=(${words}); COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); _dinoc; echo "\${COMPREPLY[@]}"`,
        ],
        { encoding: 'utf8', cwd: folder },
      ).stdout.trim()
    expect(complete('dinoc che')).toBe('check')
    expect(complete('dinoc check --deny')).toBe('--deny-warnings')
    expect(complete('dinoc check --format sa')).toBe('sarif')
    expect(complete('dinoc run a.dino --device we')).toBe('webgpu')
    expect(complete('dinoc plan a.dino --emit ir --after fuse-m')).toBe('fuse-meaning')
    const experiment = 'experiment e extends vit_nano { ablation { variant no_koleo { drop loss.koleo } } }'
    writeFileSync(join(folder, 'only.dino'), `import { vit_nano } from "std/dinov2.dino"\n${experiment}\n`)
    expect(complete('dinoc run only.dino --only f')).toBe('full')
    expect(complete('dinoc eval only.dino --only full,n')).toBe('full,no_koleo')
    expect(complete('dinoc run gone.dino --only f')).toBe('')
  })
})

test('a reader that stops early is no error', () => {
  const command = `${process.execPath} ${main} explain | head -1`
  const { stdout, stderr } = spawnSync('bash', ['-o', 'pipefail', '-c', command], {
    cwd: folder,
    encoding: 'utf8',
  })
  expect({ lines: stdout.split('\n').length, stderr }).toEqual({ lines: 2, stderr: '' })
})
