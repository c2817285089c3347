from lixlib.cli import main

main()
