/* Feeds files to a fuzz target, without libFuzzer: every file that is named, and every file of a
 * folder that is named. Prints how many there were; the first one that finds something ends the
 * process, after its name was said. */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz/fuzz.h"

static unsigned fed;
static const char *feeding = "";

/* The sanitizers end by abort, too, so that the input's name is the last thing that is said. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
  return "abort_on_error=1:detect_leaks=1";
}

static void last_word(int signal_number) {
  (void)signal_number;
  if (write(2, feeding, strlen(feeding)) < 0 || write(2, "\n", 1) < 0) _exit(3);
  _exit(1);
}

static void feed_file(const char *path) {
  static char data[1 << 20];
  FILE *file = fopen(path, "rb");
  if (!file) {
    perror(path);
    exit(2);
  }
  size_t size = fread(data, 1, sizeof data, file);
  fclose(file);
  feeding = path;
  char *copy = fuzz_copy(data, size);
  LLVMFuzzerTestOneInput((const uint8_t *)copy, size);
  free(copy);
  fed++;
}

static void feed(const char *path) {
  DIR *dir = opendir(path);
  struct dirent *entry;
  char name[1024];
  if (!dir) {
    feed_file(path);
    return;
  }
  while ((entry = readdir(dir))) {
    if (entry->d_name[0] == '.') continue;
    snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
    feed_file(name);
  }
  closedir(dir);
}

int main(int argc, char **argv) {
  signal(SIGABRT, last_word);
  for (int i = 1; i < argc; i++) feed(argv[i]);
  const char *name = strrchr(argv[0], '/');
  printf("%s: %u inputs\n", name ? name + 1 : argv[0], fed);
  return fed ? 0 : 2;
}
