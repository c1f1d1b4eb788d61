/** DINO04xx: values and units. */
export const values = {} as const
