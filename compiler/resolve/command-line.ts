/**
 * Texts of the command line. Each `--set` and `--param` is a file of one line to diagnostics, named as it was typed:
 * `--set schedule.batch=7px` holds `schedule.batch=7px`. So its text is known wherever its name is, also in a run spec.
 */
export const settingFile = (setting: string): string => `--set ${setting}`

export const paramFile = (name: string, value: string): string => `--param ${paramText(name, value)}`

export const paramText = (name: string, value: string): string => `${name}=${value}`

/** The text behind such a name; null for any other file. */
export function commandLineText(file: string): string | null {
  return /^--(?:set|param) (.*)$/s.exec(file)?.[1] ?? null
}
