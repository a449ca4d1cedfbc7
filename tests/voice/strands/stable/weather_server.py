"""An MCP server with one tool, on its standard input and output."""

from mcp.server import MCPServer

server = MCPServer("weather")


@server.tool()
def get_weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"sunny in {city}"


if __name__ == "__main__":
    server.run()
