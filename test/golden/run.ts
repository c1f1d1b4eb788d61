import type { Device } from '../../runtime/devices/device.js'
import { checkDistillStep } from './cases/distill.js'
import { checkDropPath } from './cases/drop-path.js'
import { checkHead } from './cases/head.js'
import { checkKnn } from './cases/knn.js'
import { checkDinoLoss, checkIbotLoss, checkKoleoLoss } from './cases/losses.js'
import { checkMasking } from './cases/masking.js'
import { checkNested } from './cases/nested.js'
import { checkSchedules } from './cases/schedules.js'
import { checkStep, checkStepBf16 } from './cases/step.js'
import { checkVit } from './cases/vit.js'
import { type Fixture, loadFixtures } from './fixture.js'
import { openReport } from './report.js'

/** How far from the recorded numbers each device may be, in units of the fixtures' own tolerances. */
export const deviceFactor: Readonly<Record<string, number>> = { interpret: 1, native: 2 }
const otherDevices = 10

type Check = (fixture: Fixture, device: Device, report: ReturnType<typeof openReport>) => Promise<void>

export interface FixtureResult {
  readonly name: string
  readonly passed: number
  readonly failures: readonly string[]
  /** Why nothing was checked; null where something was. */
  readonly skipped: string | null
}

/** What a fixture is about is the number that its name begins with. */
export function checkFor(fixture: Fixture): Check | string {
  const number = /^\d+/.exec(fixture.name)?.[0]
  switch (number) {
    case '01':
      return checkVit
    case '02':
      return checkNested
    case '03':
      return checkDropPath
    case '04':
      return checkHead
    case '05':
      return checkDinoLoss
    case '06':
      return checkIbotLoss
    case '07':
      return checkKoleoLoss
    case '08':
      return checkMasking
    case '09':
      return checkSchedules
    case '10':
      return fixture.json.trajectory === undefined ? 'shared data of other fixtures' : checkStep
    case '11':
      return fixture.tensors.has('neighbor_sims') ? checkKnn : 'not supported yet'
    case '12':
      return checkDistillStep
    default:
      return 'not supported yet'
  }
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
      failures: [...report.failures, `stopped: ${(error as Error).stack}`],
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

/** Every fixture of a directory, in order of names. */
export async function* checkDirectory(
  directory: string,
  device: Device,
  precision: Precision = 'float32',
): AsyncGenerator<FixtureResult> {
  for (const fixture of loadFixtures(directory)) yield await checkFixture(fixture, device, precision)
}
