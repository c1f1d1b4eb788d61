/** Exit statuses, as LANGUAGE section 7 has them; 128 + signal where a signal ended a run after its checkpoint. */
export const exit = {
  good: 0,
  /** `check` with errors, `fmt --check`, `diff --exit-code`. */
  findings: 1,
  /** Wrong usage, or a file that does not compile. */
  usage: 2,
  runFailed: 3,
  someFailed: 4,
  interrupted: 130,
  terminated: 143,
} as const
