#include "cli/command.h"
int command_snapshot(int argc, char **argv)
{
    (void)argc;
    say(argv[0], "comes with the next commit");
    return COULD_NOT;
}
