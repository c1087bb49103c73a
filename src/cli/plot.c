#include "cli/command.h"
int command_plot(int argc, char **argv)
{
    (void)argc;
    say(argv[0], "comes with the next commit");
    return COULD_NOT;
}
