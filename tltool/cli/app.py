"""All commands."""

import typer

from tltool.cli import compare, curve, inspect, recommend, reproduce, train, use

app = typer.Typer(
    name="tltool",
    help="Transfer a model to your own data: train, compare and apply, from configuration.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # importing what draws its boxes takes twice as long as all the rest
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(train.train)
app.command("eval")(use.evaluate)
app.command()(use.predict)
app.command()(reproduce.reproduce)
app.command()(curve.curve)
app.command()(compare.compare)
app.command()(inspect.show)
app.command()(recommend.recommend)
app.command("list")(inspect.list_)
app.command()(inspect.doctor)
