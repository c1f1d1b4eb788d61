export const deviceNames = ['native', 'wasm', 'tensorflow', 'cuda', 'webgpu', 'interpret'] as const
export type DeviceName = (typeof deviceNames)[number]

export interface DeviceOptions {
  /** Null: all cores. */
  readonly threads: number | null
}
