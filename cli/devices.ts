import type { Command } from 'commander'
import pc from 'picocolors'
import { memoryText } from '../compiler/plan/figures.js'
import { type DeviceProbe, deviceNames, isDeviceName, probeDevices } from '../runtime/devices/registry.js'
import { exit } from './exit.js'
import { addFormatOption, formatOption } from './options.js'
import { usesColor } from './print.js'
import { UsageError } from './usage-error.js'

export function define(command: Command): void {
  addFormatOption(command.argument('[device]', 'only this one, with its kernels listed')).action(
    async (only: string | undefined, options: { format?: string; json?: boolean }) => {
      if (only !== undefined && !isDeviceName(only))
        throw new UsageError(`there is no device \`${only}\``, [`one of ${deviceNames.join(', ')}`])
      const devices = (await probeDevices()).filter((d) => only === undefined || d.name === only)
      process.stdout.write(
        formatOption(options) === 'json'
          ? `${JSON.stringify({ formatVersion: 1, devices })}\n`
          : devices.map((d) => describe(d, only !== undefined)).join(''),
      )
      process.exitCode = exit.good
    },
  )
}

function describe(device: DeviceProbe, detailed: boolean): string {
  const colors = pc.createColors(usesColor(process.stdout))
  const name = device.name.padEnd(12)
  if (!device.present) {
    const lines = device.install.map((line) => `${' '.repeat(15)}${colors.cyan(line)}\n`)
    return `${colors.dim(`- ${name}`)} ${colors.dim(device.why)}\n${lines.join('')}`
  }
  const facts = [device.description, device.precisions.join(', '), `${device.kernels.length} kernels`]
  if (device.memoryBytes !== null) facts.push(memoryText(device.memoryBytes))
  const list = detailed
    ? `${wrapped(device.kernels, 85)
        .map((line) => `${' '.repeat(15)}${line}\n`)
        .join('')}`
    : ''
  return `${colors.green('+')} ${colors.bold(name)} ${facts.join(', ')}\n${list}`
}

function wrapped(words: readonly string[], width: number): string[] {
  const lines = ['']
  for (const word of words) {
    const last = lines.at(-1)!
    if (last.length + word.length + 1 > width) lines.push(word)
    else lines[lines.length - 1] = last === '' ? word : `${last} ${word}`
  }
  return lines
}
