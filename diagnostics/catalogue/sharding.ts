/** DINO07xx: sharding. */
export const sharding = {} as const
