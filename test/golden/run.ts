import { DiagnosticError } from '../../diagnostics/diagnostic.js'
import type { Device } from '../../runtime/devices/device.js'
import { checkStep, checkStepBf16 } from './cases/step.js'
import { type Fixture, FixtureError, fixtureNames, loadFixture } from './fixture.js'
import { openReport } from './report.js'
import { type Check, checkFor } from './subjects.js'

/** How far from the recorded numbers each device may be, in units of the fixtures' own tolerances. */
export const deviceFactor: Readonly<Record<string, number>> = { interpret: 1, native: 2 }
const otherDevices = 10

export interface FixtureResult {
  readonly name: string
  readonly passed: number
  readonly failures: readonly string[]
  /** Why nothing was checked; null where something was. */
  readonly skipped: string | null
}

export type Precision = 'float32' | 'bf16'

/** In bf16, the losses of whole steps: the other numbers are recorded for float32. */
const checkIn = (precision: Precision, fixture: Fixture): Check | string => {
  const check = checkFor(fixture)
  if (precision === 'float32' || typeof check === 'string') return check
  return check === checkStep ? checkStepBf16 : 'compared in float32 only'
}

export async function checkFixture(
  fixture: Fixture,
  device: Device,
  precision: Precision = 'float32',
): Promise<FixtureResult> {
  const check = checkIn(precision, fixture)
  if (typeof check === 'string') return { name: fixture.name, passed: 0, failures: [], skipped: check }
  const report = openReport(precision === 'bf16' ? 1 : (deviceFactor[device.name] ?? otherDevices))
  try {
    await check(fixture, device, report)
  } catch (error) {
    return {
      name: fixture.name,
      passed: report.passed,
      failures: [...report.failures, `stopped: ${reasonOf(error as Error)}`],
      skipped: null,
    }
  }
  const forgotten =
    precision === 'bf16'
      ? []
      : [...fixture.tensors.values()]
          .filter((tensor) => tensor.role === 'expected' && !report.checked.has(tensor.name))
          .map((tensor) => `${tensor.name}: nothing here computes it`)
  const failures = [...report.failures, ...forgotten]
  return { name: fixture.name, passed: report.passed, failures, skipped: null }
}

/** Where only the fixture is to blame, where in our code that showed tells nothing. */
function reasonOf(error: Error): string {
  const itsOwn = error instanceof FixtureError || error instanceof DiagnosticError || 'code' in error
  return itsOwn ? error.message : (error.stack ?? error.message)
}

/** Every fixture of a directory, in order of names. One that cannot be read fails, and the others go on. */
export async function* checkDirectory(
  directory: string,
  device: Device,
  precision: Precision = 'float32',
): AsyncGenerator<FixtureResult> {
  for (const name of fixtureNames(directory)) {
    let fixture: Fixture
    try {
      fixture = loadFixture(directory, name)
    } catch (error) {
      yield { name, passed: 0, failures: [`cannot be read: ${(error as Error).message}`], skipped: null }
      continue
    }
    yield await checkFixture(fixture, device, precision)
  }
}
