/** The grid and the block of a launch, and the dynamic shared memory of a block in bytes. May be reused for other launches. */
export class LaunchShape {
  gridX = 1
  gridY = 1
  gridZ = 1
  blockX = 1
  blockY = 1
  blockZ = 1
  sharedMemory = 0

  /** One block of one thread, unless other sizes are given. */
  static of(sizes: Partial<LaunchShape> = {}): LaunchShape {
    return Object.assign(new LaunchShape(), sizes)
  }
}
