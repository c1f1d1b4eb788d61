import { DiagnosticError } from '../../diagnostics/diagnostic.js'
import { openDevice } from '../../runtime/devices/registry.js'
import { FixtureError, fixtureNames } from './fixture.js'
import { checkDirectory, type Precision } from './run.js'

/**
 * `npm run golden -- DIR [--device D] [--precision bf16]`: every fixture of a directory, on a device; in bf16 the
 * losses of whole steps, within 2 %. Ends with `N passed, M failed`,
 * and with a non-zero status if anything failed.
 */
async function main(args: readonly string[]): Promise<number> {
  let directory: string | null = null
  let name = 'interpret'
  let precision: Precision = 'float32'
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] as string
    if (arg === '--help' || arg === '-h') {
      process.stdout.write(usageText)
      return 0
    }
    if (arg === '--device') name = args[++i] ?? ''
    else if (arg.startsWith('--device=')) name = arg.slice('--device='.length)
    else if (arg === '--precision' || arg.startsWith('--precision=')) {
      const given = arg === '--precision' ? args[++i] : arg.slice('--precision='.length)
      if (given !== 'float32' && given !== 'bf16') return usage(`unknown precision ${given}`)
      precision = given
    } else if (directory === null && !arg.startsWith('-')) directory = arg
    else return usage(`unknown argument ${arg}`)
  }
  if (directory === null) return usage('no directory given')
  // Before a device is opened for nothing.
  fixtureNames(directory)
  const device = await openDevice(name, { threads: null })
  let passed = 0
  let failed = 0
  const skipped: string[] = []
  for await (const result of checkDirectory(directory, device, precision)) {
    if (result.skipped !== null) {
      skipped.push(`${result.name}: ${result.skipped}`)
      continue
    }
    passed += result.passed
    failed += result.failures.length
    const counts = result.failures.length === 0 ? '' : `, ${result.failures.length} failed`
    process.stdout.write(`${result.name.padEnd(28)} ${result.passed} passed${counts}\n`)
    for (const failure of result.failures) process.stdout.write(`  ${failure}\n`)
  }
  for (const line of skipped) process.stdout.write(`${line}\n`)
  await device.close()
  if (passed + failed === 0) process.stdout.write('no fixture was checked\n')
  process.stdout.write(`${passed} passed, ${failed} failed\n`)
  return failed > 0 || passed === 0 ? 1 : 0
}

const usageText = 'usage: npm run golden -- DIR [--device D] [--precision float32|bf16]\n'

function usage(why: string): number {
  process.stderr.write(`${why}\n${usageText}`)
  return 2
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  const told = error instanceof FixtureError || error instanceof DiagnosticError
  if (!(told || (error as NodeJS.ErrnoException).code !== undefined)) throw error
  process.stderr.write(`${(error as Error).message}\n`)
  process.exitCode = 2
}
