/*
 * Memory: pools with stream-ordered allocation, pinned memory, copies and fills. Each access is checked at its place in the
 * queue: memory that is not allocated there is a fault that loses the device, as it may be on a GPU.
 */
#include "double.h"

#include <stdlib.h>
#include <string.h>

#define POISON 0xdd
/* Enough to be seen. More would commit real memory for untouched blocks. */
#define POISONED_BYTES 65536

struct pool {
  enum kind kind;
  int device;
  uint64_t attributes[9];
  bool destroyed;
  long outstanding;
};

struct block {
  uint64_t address;
  size_t capacity;
  /* Where the queues are: between the alloc's place and the free's. */
  _Atomic bool alive;
  bool pinned;
  /* Of the host, mapped at this address. */
  struct mappable *mappable;
  struct pool *pool;
  /* Freed: the free's place, and the stream that it was queued on. */
  struct record *freed;
  struct stream *freed_on;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* Sorted by address, so that a pointer into the middle of a block is found, too. */
static struct block **blocks;
static size_t block_count, block_capacity;
static uint64_t reserved, used, used_high, reserved_high;
static uint64_t limit = (uint64_t)1 << 34;
static _Atomic long host_frees_while_busy;

EXPORT void double_set_memory(double bytes) { limit = (uint64_t)bytes; }
/* How often pinned memory was freed while commands were queued: the real driver waits for the device then. */
EXPORT double double_host_frees_while_busy(void) { return host_frees_while_busy; }

/* The place of the first block above the address. */
static size_t place(uint64_t address) {
  size_t low = 0, high = block_count;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (blocks[middle]->address <= address) low = middle + 1;
    else high = middle;
  }
  return low;
}

static struct block *find(uint64_t address) {
  size_t above = place(address);
  if (above == 0) return NULL;
  struct block *block = blocks[above - 1];
  return address < block->address + block->capacity ? block : NULL;
}

static void insert(struct block *block) {
  if (block_count == block_capacity) {
    block_capacity = block_capacity ? block_capacity * 2 : 64;
    blocks = realloc(blocks, block_capacity * sizeof *blocks);
  }
  size_t at = place(block->address);
  memmove(&blocks[at + 1], &blocks[at], (block_count - at) * sizeof *blocks);
  blocks[at] = block;
  block_count++;
}

static void remove_block(struct block *block) {
  size_t at = place(block->address) - 1;
  memmove(&blocks[at], &blocks[at + 1], (block_count - at - 1) * sizeof *blocks);
  block_count--;
}

static void discard(struct block *block) {
  remove_block(block);
  double_record_drop(block->freed);
  free((void *)block->address);
  free(block);
}

static struct block *make_block(size_t capacity, size_t alignment) {
  void *memory;
  if (posix_memalign(&memory, alignment, capacity)) return NULL;
  struct block *block = calloc(1, sizeof *block);
  block->address = (uint64_t)(uintptr_t)memory;
  block->capacity = capacity;
  insert(block);
  return block;
}

bool double_reachable(uint64_t address, size_t bytes) {
  pthread_mutex_lock(&lock);
  struct block *block = find(address);
  bool reachable = block && block->alive && address + bytes <= block->address + block->capacity;
  pthread_mutex_unlock(&lock);
  return reachable;
}

uint64_t double_hold_memory(size_t bytes) {
  pthread_mutex_lock(&lock);
  struct block *block = make_block(bytes, 256);
  block->alive = true;
  memset((void *)block->address, 0, bytes);
  pthread_mutex_unlock(&lock);
  return block->address;
}

void double_end_memory(uint64_t address) {
  pthread_mutex_lock(&lock);
  discard(find(address));
  pthread_mutex_unlock(&lock);
}

#define NEED_POOL(pool) REQUIRE((pool) && (pool)->kind == POOL, CUDA_ERROR_INVALID_VALUE)
#define NEED_STREAM(stream)                                     \
  REQUIRE(double_is_stream(stream), CUDA_ERROR_INVALID_HANDLE); \
  NEED_OWN(double_stream_context(stream))

EXPORT CUresult cuMemPoolCreate(struct pool **out, const int *properties) {
  ENTER(cuMemPoolCreate, A(properties[0]), A(properties[2]), A(properties[3]));
  NOT_BESIDE_CAPTURES();
  REQUIRE(properties[0] == 1 && properties[1] == 0 && properties[2] == 1, CUDA_ERROR_INVALID_VALUE);
  for (int i = 4; i < 22; i++) REQUIRE(properties[i] == 0, CUDA_ERROR_INVALID_VALUE);
  struct pool *pool = calloc(1, sizeof *pool);
  pool->kind = POOL;
  pool->device = properties[3];
  double_live.pools++;
  *out = pool;
  return CUDA_SUCCESS;
}

static bool belongs(const struct block *block, const struct pool *pool) { return block->pool == pool; }

/* Discards freed blocks whose free has happened. */
static void trim(struct pool *pool) {
  for (size_t i = block_count; i-- > 0;) {
    struct block *block = blocks[i];
    if (!belongs(block, pool) || !block->freed || !block->freed->done) continue;
    reserved -= block->capacity;
    discard(block);
  }
}

EXPORT CUresult cuMemPoolDestroy(struct pool *pool) {
  ENTER(cuMemPoolDestroy, A(pool));
  NOT_BESIDE_CAPTURES();
  NEED_POOL(pool);
  pthread_mutex_lock(&lock);
  pool->destroyed = true;
  trim(pool);
  pool->kind = DEAD;
  pthread_mutex_unlock(&lock);
  double_live.pools--;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemPoolTrimTo(struct pool *pool, size_t keep) {
  ENTER(cuMemPoolTrimTo, A(pool), keep);
  NOT_BESIDE_CAPTURES();
  NEED_POOL(pool);
  pthread_mutex_lock(&lock);
  trim(pool);
  pthread_mutex_unlock(&lock);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemPoolSetAttribute(struct pool *pool, int attribute, const void *value) {
  uint64_t number = attribute < 4 ? *(const uint32_t *)value : *(const uint64_t *)value;
  ENTER(cuMemPoolSetAttribute, A(pool), A(attribute), number);
  NEED_POOL(pool);
  REQUIRE(attribute >= 1 && attribute <= 8, CUDA_ERROR_INVALID_VALUE);
  pool->attributes[attribute] = number;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemPoolGetAttribute(struct pool *pool, int attribute, void *value) {
  ENTER(cuMemPoolGetAttribute, A(pool), A(attribute));
  NEED_POOL(pool);
  pthread_mutex_lock(&lock);
  uint64_t own = 0;
  for (size_t i = 0; i < block_count; i++) own += belongs(blocks[i], pool) ? blocks[i]->capacity : 0;
  const uint64_t measured[] = {own, reserved_high, used, used_high};
  if (attribute < 4) *(uint32_t *)value = (uint32_t)pool->attributes[attribute];
  else *(uint64_t *)value = attribute == 4 ? pool->attributes[4] : measured[attribute - 5];
  pthread_mutex_unlock(&lock);
  return CUDA_SUCCESS;
}

struct block_command {
  struct command command;
  struct block *block;
  struct record *record;
};

static void run_alloc(struct command *command) { ((struct block_command *)command)->block->alive = true; }

static void run_free(struct command *command) {
  struct block_command *own = (struct block_command *)command;
  struct block *block = own->block;
  /* Under the lock throughout: once the free is known to be over, anyone may discard the block. */
  pthread_mutex_lock(&lock);
  block->alive = false;
  memset((void *)block->address, POISON, block->capacity < POISONED_BYTES ? block->capacity : POISONED_BYTES);
  double_leave(command);
  double_record_finish(own->record);
  if (block->pool->destroyed && block->freed == own->record) {
    reserved -= block->capacity;
    discard(block);
  }
  pthread_mutex_unlock(&lock);
  double_record_drop(own->record);
}

static void queue_block(struct stream *stream, struct block *block, void (*run)(struct command *), struct record *record) {
  struct block_command *command = calloc(1, sizeof *command);
  command->command.run = run;
  command->block = block;
  command->record = double_record_keep(record);
  double_queue(stream, &command->command);
}

/* A freed block that this stream may reuse: freed on the same stream, or the free is over. */
static struct block *reuse(struct pool *pool, size_t capacity, struct stream *stream) {
  for (size_t i = 0; i < block_count; i++) {
    struct block *block = blocks[i];
    if (!belongs(block, pool) || !block->freed || block->capacity != capacity) continue;
    if (block->freed_on != stream && !block->freed->done) continue;
    double_record_drop(block->freed);
    block->freed = NULL;
    return block;
  }
  return NULL;
}

EXPORT CUresult cuMemAllocFromPoolAsync(CUdeviceptr *out, size_t bytes, struct pool *pool, struct stream *stream) {
  ENTER(cuMemAllocFromPoolAsync, bytes, A(pool), A(stream));
  NOT_BESIDE_CAPTURES();
  NEED_STREAM(stream);
  NOT_CAPTURED(stream);
  NEED_POOL(pool);
  REQUIRE(bytes > 0, CUDA_ERROR_INVALID_VALUE);
  size_t capacity = (bytes + 511) / 512 * 512;
  pthread_mutex_lock(&lock);
  struct block *block = reuse(pool, capacity, stream);
  if (!block) {
    if (reserved + capacity > limit) trim(pool);
    if (reserved + capacity <= limit) block = make_block(capacity, 512);
    if (!block) {
      pthread_mutex_unlock(&lock);
      return CUDA_ERROR_OUT_OF_MEMORY;
    }
    block->pool = pool;
    reserved += capacity;
    if (reserved > reserved_high) reserved_high = reserved;
  }
  used += capacity;
  if (used > used_high) used_high = used;
  queue_block(stream, block, run_alloc, NULL);
  pthread_mutex_unlock(&lock);
  double_live.allocations++;
  *out = block->address;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemFreeAsync(CUdeviceptr address, struct stream *stream) {
  ENTER(cuMemFreeAsync, address, A(stream));
  NOT_BESIDE_CAPTURES();
  NEED_STREAM(stream);
  NOT_CAPTURED(stream);
  pthread_mutex_lock(&lock);
  struct block *block = find(address);
  bool valid = block && block->address == address && block->pool && !block->freed;
  if (valid) {
    block->freed = double_record_make();
    block->freed_on = stream;
    used -= block->capacity;
    queue_block(stream, block, run_free, block->freed);
    double_live.allocations--;
  }
  pthread_mutex_unlock(&lock);
  return valid ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

EXPORT CUresult cuMemGetInfo_v2(size_t *free_bytes, size_t *total) {
  ENTER(cuMemGetInfo_v2, 0);
  NEED_CURRENT(context);
  *free_bytes = limit > reserved ? limit - reserved : 0;
  *total = limit;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceTotalMem_v2(size_t *total, CUdevice device) {
  ENTER(cuDeviceTotalMem_v2, A(device));
  *total = limit;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemHostAlloc(void **out, size_t bytes, unsigned flags) {
  ENTER(cuMemHostAlloc, bytes, flags);
  NEED_CURRENT(context);
  NOT_BESIDE_CAPTURES();
  pthread_mutex_lock(&lock);
  struct block *block = bytes <= limit ? make_block(bytes, 4096) : NULL;
  if (block) {
    block->pinned = block->alive = true;
    memset((void *)block->address, 0, bytes);
  }
  pthread_mutex_unlock(&lock);
  if (!block) return CUDA_ERROR_OUT_OF_MEMORY;
  double_live.pinned++;
  *out = (void *)block->address;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemFreeHost(void *address) {
  ENTER(cuMemFreeHost, A(address));
  NEED_CURRENT(context);
  NOT_BESIDE_CAPTURES();
  if (context->busy > 0) host_frees_while_busy++;
  double_await_device(context);
  pthread_mutex_lock(&lock);
  struct block *block = find((uint64_t)(uintptr_t)address);
  bool valid = block && block->pinned && block->address == (uint64_t)(uintptr_t)address;
  if (valid) discard(block);
  pthread_mutex_unlock(&lock);
  if (valid) double_live.pinned--;
  return valid ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

/* Host memory that can be mapped. None of these calls waits. */
struct mappable {
  size_t size;
  int holders;
};

#define GRANULARITY ((size_t)2 << 20)

static void leave_mappable(struct mappable *mappable) {
  if (--mappable->holders == 0) free(mappable);
}

EXPORT CUresult cuMemGetAllocationGranularity(size_t *out, const int *properties, int option) {
  ENTER(cuMemGetAllocationGranularity, A(properties[2]), A(option));
  *out = GRANULARITY;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemCreate(struct mappable **out, size_t size, const int *properties, uint64_t flags) {
  ENTER(cuMemCreate, size, A(properties[2]), A(properties[3]));
  /* CU_MEM_LOCATION_TYPE_HOST_NUMA is 3. */
  REQUIRE(properties[0] == 1 && properties[1] == 0 && properties[2] == 3 && properties[3] == 0, CUDA_ERROR_INVALID_VALUE);
  REQUIRE(size > 0 && size % GRANULARITY == 0 && flags == 0, CUDA_ERROR_INVALID_VALUE);
  REQUIRE(size <= limit, CUDA_ERROR_OUT_OF_MEMORY);
  struct mappable *mappable = malloc(sizeof *mappable);
  *mappable = (struct mappable){size, 1};
  double_live.allocations++;
  *out = mappable;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemRelease(struct mappable *mappable) {
  ENTER(cuMemRelease, A(mappable));
  leave_mappable(mappable);
  double_live.allocations--;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemAddressReserve(uint64_t *out, size_t size, size_t alignment, uint64_t wanted, uint64_t flags) {
  ENTER(cuMemAddressReserve, size, alignment, wanted);
  REQUIRE(size % GRANULARITY == 0 && wanted == 0, CUDA_ERROR_INVALID_VALUE);
  void *memory;
  REQUIRE(!posix_memalign(&memory, GRANULARITY, size), CUDA_ERROR_OUT_OF_MEMORY);
  double_live.allocations++;
  *out = (uint64_t)(uintptr_t)memory;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemAddressFree(uint64_t address, size_t size) {
  ENTER(cuMemAddressFree, address, size);
  pthread_mutex_lock(&lock);
  bool mapped = find(address);
  pthread_mutex_unlock(&lock);
  REQUIRE(!mapped, CUDA_ERROR_INVALID_VALUE);
  free((void *)address);
  double_live.allocations--;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemMap(uint64_t address, size_t size, size_t offset, struct mappable *mappable, uint64_t flags) {
  ENTER(cuMemMap, address, size, offset);
  REQUIRE(size == mappable->size && offset == 0, CUDA_ERROR_INVALID_VALUE);
  struct block *block = calloc(1, sizeof *block);
  block->address = address;
  block->capacity = size;
  block->mappable = mappable;
  mappable->holders++;
  pthread_mutex_lock(&lock);
  insert(block);
  pthread_mutex_unlock(&lock);
  double_live.pinned++;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemUnmap(uint64_t address, size_t size) {
  ENTER(cuMemUnmap, address, size);
  pthread_mutex_lock(&lock);
  struct block *block = find(address);
  bool valid = block && block->mappable && block->address == address && block->capacity == size;
  if (valid) remove_block(block);
  pthread_mutex_unlock(&lock);
  REQUIRE(valid, CUDA_ERROR_INVALID_VALUE);
  leave_mappable(block->mappable);
  free(block);
  double_live.pinned--;
  return CUDA_SUCCESS;
}

/* Both the device and the host's node need access. */
EXPORT CUresult cuMemSetAccess(uint64_t address, size_t size, const int *accesses, size_t count) {
  ENTER(cuMemSetAccess, address, size, count);
  REQUIRE(count == 2 && accesses[0] == 1 && accesses[2] == 3, CUDA_ERROR_INVALID_VALUE);
  REQUIRE(accesses[3] == 3 && accesses[4] == 0 && accesses[5] == 3, CUDA_ERROR_INVALID_VALUE);
  pthread_mutex_lock(&lock);
  struct block *block = find(address);
  bool valid = block && block->mappable && block->capacity == size;
  if (valid) block->alive = true;
  pthread_mutex_unlock(&lock);
  return valid ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

struct transfer {
  struct command command;
  uint64_t destination, source;
  size_t bytes, pitch, source_pitch, rows;
  unsigned width, value;
};

static void run_copy(struct command *command) {
  struct transfer *transfer = (struct transfer *)command;
  if (command->context->broken) return;
  size_t last = transfer->rows - 1;
  if (!double_reachable(transfer->destination, last * transfer->pitch + transfer->bytes) ||
      !double_reachable(transfer->source, last * transfer->source_pitch + transfer->bytes)) {
    double_break(CUDA_ERROR_ILLEGAL_ADDRESS);
    return;
  }
  for (size_t row = 0; row < transfer->rows; row++) {
    memmove((char *)transfer->destination + row * transfer->pitch, (char *)transfer->source + row * transfer->source_pitch,
            transfer->bytes);
  }
}

static void run_set(struct command *command) {
  struct transfer *transfer = (struct transfer *)command;
  if (command->context->broken) return;
  size_t extent = transfer->pitch * (transfer->rows - 1) + transfer->bytes;
  if (!double_reachable(transfer->destination, extent)) {
    double_break(CUDA_ERROR_ILLEGAL_ADDRESS);
    return;
  }
  for (size_t row = 0; row < transfer->rows; row++) {
    char *at = (char *)transfer->destination + row * transfer->pitch;
    for (size_t i = 0; i < transfer->bytes; i += transfer->width) memcpy(at + i, &transfer->value, transfer->width);
  }
}

static CUresult queue_transfer(struct stream *stream, struct transfer transfer, void (*run)(struct command *)) {
  NEED_STREAM(stream);
  if (transfer.bytes == 0 || transfer.rows == 0) return CUDA_SUCCESS;
  struct transfer *command = malloc(sizeof *command);
  *command = transfer;
  command->command.run = run;
  command->command.size = sizeof *command;
  command->command.fills = run == run_set;
  command->command.keeps_current = true;
  command->command.current = double_current();
  return double_submit(stream, &command->command);
}

EXPORT CUresult cuMemcpyAsync(CUdeviceptr destination, CUdeviceptr source, size_t bytes, struct stream *stream) {
  ENTER(cuMemcpyAsync, destination, source, bytes, A(stream));
  IDLE();
  return queue_transfer(stream, (struct transfer){.destination = destination, .source = source, .bytes = bytes, .rows = 1},
                        run_copy);
}

/* CUDA_MEMCPY2D. */
struct copy_of_rows {
  size_t source_x, source_y;
  int source_type;
  const void *source_host;
  CUdeviceptr source;
  void *source_array;
  size_t source_pitch, destination_x, destination_y;
  int destination_type;
  void *destination_host;
  CUdeviceptr destination;
  void *destination_array;
  size_t destination_pitch, width, height;
};

/* Addresses of CU_MEMORYTYPE_UNIFIED, which is 4, are the device's or pinned. */
EXPORT CUresult cuMemcpy2DAsync_v2(const struct copy_of_rows *copy, struct stream *stream) {
  ENTER(cuMemcpy2DAsync_v2, copy->destination, copy->destination_pitch, copy->source, copy->source_pitch, copy->width,
        copy->height, A(stream));
  IDLE();
  REQUIRE(copy->source_type == 4 && copy->destination_type == 4, CUDA_ERROR_INVALID_VALUE);
  REQUIRE(!copy->source_x && !copy->source_y && !copy->destination_x && !copy->destination_y, CUDA_ERROR_INVALID_VALUE);
  REQUIRE(copy->width <= copy->source_pitch && copy->width <= copy->destination_pitch, CUDA_ERROR_INVALID_VALUE);
  REQUIRE(copy->source_pitch <= 2147483647 && copy->destination_pitch <= 2147483647, CUDA_ERROR_INVALID_VALUE);
  struct transfer transfer = {.destination = copy->destination, .source = copy->source, .bytes = copy->width,
                              .pitch = copy->destination_pitch, .source_pitch = copy->source_pitch, .rows = copy->height};
  return queue_transfer(stream, transfer, run_copy);
}

#define SET(function, type, width_)                                                                              \
  EXPORT CUresult function(CUdeviceptr destination, type value, size_t count, struct stream *stream) {           \
    ENTER(function, destination, A(value), count, A(stream));                                                    \
    IDLE();                                                                                                      \
    return queue_transfer(stream, (struct transfer){.destination = destination, .bytes = count * width_, .rows = 1, \
                                                    .width = width_, .value = value}, run_set);                  \
  }
SET(cuMemsetD8Async, unsigned char, 1)
SET(cuMemsetD16Async, unsigned short, 2)
SET(cuMemsetD32Async, unsigned int, 4)

#define SET_ROWS(function, type, width_)                                                                             \
  EXPORT CUresult function(CUdeviceptr destination, size_t pitch, type value, size_t width, size_t height,            \
                           struct stream *stream) {                                                                   \
    ENTER(function, destination, pitch, A(value), width, height, A(stream));                                          \
    REQUIRE(pitch >= width * width_, CUDA_ERROR_INVALID_VALUE);                                                       \
    return queue_transfer(stream, (struct transfer){.destination = destination, .bytes = width * width_, .pitch = pitch, \
                                                    .rows = height, .width = width_, .value = value}, run_set);       \
  }
SET_ROWS(cuMemsetD2D8Async, unsigned char, 1)
SET_ROWS(cuMemsetD2D16Async, unsigned short, 2)
SET_ROWS(cuMemsetD2D32Async, unsigned int, 4)
