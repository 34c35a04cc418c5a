/*
 * A double of the compiler: it reads the kernels' names and parameters from a source and writes them into an image. A line
 * with #error makes the compilation fail, with its text in the log.
 */
#include "double.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NVRTC_COMPILATION 6
#define LOG_SIZE 4096

struct program {
  enum kind kind;
  char *source;
  char log[LOG_SIZE];
  char *image;
};

static int version_major = 13, version_minor = 0;
static int architectures[] = {75, 80, 86, 89, 90, 100};
static int architecture_count = 6;
static int compile_milliseconds;

EXPORT void double_set_compiler_version(int major, int minor) {
  version_major = major;
  version_minor = minor;
}
/* The newest architecture that the compiler knows, of 75, 80, 86, 89, 90, 100. */
EXPORT void double_set_newest_architecture(int newest) {
  for (architecture_count = 1; architecture_count < 6 && architectures[architecture_count] <= newest;) architecture_count++;
}
EXPORT void double_set_compile_time(int milliseconds) { compile_milliseconds = milliseconds; }

void double_compile_pause(void) {
  const struct timespec pause = {compile_milliseconds / 1000, compile_milliseconds % 1000 * 1000000L};
  nanosleep(&pause, NULL);
}

EXPORT const char *nvrtcGetErrorString(int status) {
  return status == 0 ? "NVRTC_SUCCESS" : status == NVRTC_COMPILATION ? "NVRTC_ERROR_COMPILATION" : "NVRTC_ERROR_INTERNAL_ERROR";
}

EXPORT int nvrtcVersion(int *major, int *minor) {
  ENTER(nvrtcVersion, 0);
  *major = version_major;
  *minor = version_minor;
  return 0;
}

EXPORT int nvrtcGetNumSupportedArchs(int *count) {
  ENTER(nvrtcGetNumSupportedArchs, 0);
  *count = architecture_count;
  return 0;
}

EXPORT int nvrtcGetSupportedArchs(int *out) {
  ENTER(nvrtcGetSupportedArchs, 0);
  memcpy(out, architectures, architecture_count * sizeof *architectures);
  return 0;
}

EXPORT int nvrtcCreateProgram(struct program **out, const char *source, const char *name, int header_count, void *headers,
                              void *header_names) {
  ENTER(nvrtcCreateProgram, 0);
  struct program *program = calloc(1, sizeof *program);
  program->source = strdup(source);
  double_live.programs++;
  *out = program;
  return 0;
}

EXPORT int nvrtcDestroyProgram(struct program **program) {
  ENTER(nvrtcDestroyProgram, 0);
  free((*program)->source);
  free((*program)->image);
  free(*program);
  *program = NULL;
  double_live.programs--;
  return 0;
}

/* The size of a parameter's type, given with the parameter's name. */
static int size_of(char *type) {
  char *end = type + strlen(type);
  while (end > type && (isalnum((unsigned char)end[-1]) || end[-1] == '_')) end--;
  *end = 0;
  static const struct {
    const char *word;
    int size;
  } sizes[] = {{"long", 8}, {"int64", 8}, {"uint64", 8}, {"double", 8}, {"bfloat16", 2}, {"half", 2},
               {"short", 2}, {"int16", 2}, {"char", 1}, {"int8", 1}};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    if (strstr(type, sizes[i].word)) return sizes[i].size;
  }
  return 4;
}

/* Writes a line of the image for the kernel whose parameters begin here. */
static int describe(char *out, size_t room, const char *name, int name_length, const char *parameters) {
  int length = snprintf(out, room, "%.*s", name_length, name);
  const char *end = strchr(parameters, ')');
  while (parameters < end) {
    char type[256];
    size_t width = strcspn(parameters, ",)");
    snprintf(type, sizeof type, "%.*s", (int)width, parameters);
    bool pointer = strchr(type, '*') != NULL;
    if (strspn(type, " \n\t") < strlen(type)) {
      int size = pointer ? 8 : size_of(type);
      length += snprintf(out + length, room - length, " %c%d", pointer ? 'p' : 's', size);
    }
    parameters += width + 1;
  }
  return length + snprintf(out + length, room - length, "\n");
}

static void compile(struct program *program, const char *architecture) {
  size_t room = strlen(program->source) * 8 + 256;
  program->image = calloc(1, room);
  int length = snprintf(program->image, room, IMAGE_HEADER "%s\n", architecture);
  for (const char *at = strstr(program->source, "__global__"); at; at = strstr(at + 1, "__global__")) {
    const char *open = strchr(at, '(');
    /* The word before the parameters; attributes such as __launch_bounds__ have parentheses of their own. */
    while (open && strncmp(open - 17, "__launch_bounds__", 17) == 0) open = strchr(strchr(open, ')'), '(');
    if (!open) break;
    const char *end = open, *begin;
    while (isspace((unsigned char)end[-1])) end--;
    for (begin = end; isalnum((unsigned char)begin[-1]) || begin[-1] == '_';) begin--;
    length += describe(program->image + length, room - length, begin, (int)(end - begin), open + 1);
  }
}

EXPORT int nvrtcCompileProgram(struct program *program, int count, const char *const *options) {
  ENTER(nvrtcCompileProgram, A(program));
  double_compile_pause();
  const char *architecture = "compute_75";
  int length = 0;
  for (int i = 0; i < count; i++) {
    if (strncmp(options[i], "--gpu-architecture=", 19) == 0) architecture = options[i] + 19;
    length += snprintf(program->log + length, LOG_SIZE - length, "%s\n", options[i]);
  }
  const char *error = strstr(program->source, "#error");
  if (error) {
    snprintf(program->log, LOG_SIZE, "kernel.cu(1): error: %.*s\n1 error detected\n", (int)strcspn(error, "\n"), error);
    return NVRTC_COMPILATION;
  }
  compile(program, architecture);
  return 0;
}

static int get_size(const char *text, size_t *size) {
  *size = text ? strlen(text) + 1 : 0;
  return 0;
}

#define GETTERS(what, field)                                                    \
  EXPORT int nvrtcGet##what##Size(struct program *program, size_t *size) {      \
    ENTER(nvrtcGet##what##Size, A(program));                                    \
    return get_size(program->field, size);                                      \
  }                                                                             \
  EXPORT int nvrtcGet##what(struct program *program, char *out) {               \
    ENTER(nvrtcGet##what, A(program));                                          \
    strcpy(out, program->field);                                                \
    return 0;                                                                   \
  }
GETTERS(CUBIN, image)
GETTERS(PTX, image)
GETTERS(ProgramLog, log)
